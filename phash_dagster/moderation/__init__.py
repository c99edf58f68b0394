"""From matches to moderation events: decide, plan, record in the ledger, send to Ozone."""
