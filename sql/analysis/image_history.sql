-- What is known of one image: who posted it, how it ended, what it matched, what was done?
-- The posts are those of the period; the rest is all there is.
--
-- Parameters:
--   image VARCHAR: CID of the image
--   since TIMESTAMPTZ = now() - INTERVAL 30 DAYS: beginning of the period
WITH told AS (
    FROM image_posts
    SELECT
        seen_at AS happened_at,
        'post' AS what,
        operation || ' ' || uri AS details
    WHERE
        hour >= hour_of(coalesce(getvariable('since'), now() - INTERVAL 30 DAYS)::TIMESTAMPTZ)
        AND blob_cid = coalesce(getvariable('image'), error('SET VARIABLE image first'))::VARCHAR

    UNION ALL

    FROM image_outcomes
    SELECT
        updated_at,
        'outcome',
        concat_ws(': ', outcome, reason)
    WHERE blob_cid = coalesce(getvariable('image'), error('SET VARIABLE image first'))::VARCHAR

    UNION ALL

    FROM image_hashes
    SELECT
        hashed_at,
        'hash',
        format(
            '{} {}, quality {}, {}x{} {}',
            algorithm,
            hash_text(hash, hash_2, hash_3, hash_4),
            quality,
            width,
            height,
            format
        )
    WHERE blob_cid = coalesce(getvariable('image'), error('SET VARIABLE image first'))::VARCHAR

    UNION ALL

    FROM rule_matches
    SELECT
        matched_at,
        'match',
        format('{} by {}, distance {}', rule_id, rule_hash, distance)
    WHERE blob_cid = coalesce(getvariable('image'), error('SET VARIABLE image first'))::VARCHAR

    UNION ALL

    FROM moderation_actions
    SELECT
        coalesce(sent_at, planned_at),
        'action',
        concat_ws(' ', event, value, 'on', coalesce(subject_uri, subject_did), '(' || state || ')')
    WHERE
        list_contains(
            blob_cids, coalesce(getvariable('image'), error('SET VARIABLE image first'))::VARCHAR
        )
)

FROM told
ORDER BY
    happened_at,
    what,
    details;
