"""The hosts that images are asked of, and how patient the pipeline is with them."""

from datetime import timedelta
from typing import Final

import httpx

from phash_dagster.circuit import BreakerPolicy
from phash_dagster.images.breaker import Host

PDS_POLICY: Final = BreakerPolicy(failures=3, open_for=timedelta(seconds=300))
"""For a PDS, a PLC directory, and whatever else a stranger names."""

CDN_POLICY: Final = BreakerPolicy(failures=10, open_for=timedelta(seconds=30))
"""For the CDN, which nearly every image needs: a short pause, and a few images that it fails on
do not begin one. While it lasts, images are asked of their PDS at once instead of waiting for
time-outs; those that no PDS has wait, and this wait does not lead to `gave_up` (see
`ImageUnavailable.excused`)."""


def operators_host(endpoint: str, policy: BreakerPolicy = PDS_POLICY) -> Host:
    """A host that the operator named in the settings."""
    return Host(endpoint, trusted=True, policy=policy)


def strangers_host(url: httpx.URL) -> Host:
    """A host that a stranger named; its name cannot equal that of an operator's host."""
    return Host(url.netloc.decode("ascii"), trusted=False, policy=PDS_POLICY)
