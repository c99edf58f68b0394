-- Which rules are in force, and what do they do?
WITH rules AS (
    FROM rule_versions
    SEMI JOIN version_in_force USING (version)
    SELECT unnest(
        from_json(
            rules->'rules',
            '[{
                "id": "VARCHAR",
                "label": "VARCHAR",
                "comment": "VARCHAR",
                "mode": "VARCHAR",
                "algorithm": "VARCHAR",
                "expires": "VARCHAR",
                "toLabel": "BOOLEAN",
                "reportPost": "BOOLEAN",
                "takedownPost": "BOOLEAN",
                "labelAcct": "BOOLEAN",
                "reportAcct": "BOOLEAN",
                "takedownAcct": "BOOLEAN"
            }]'
        ),
        max_depth := 2
    )
),

hashes AS (
    FROM rule_hashes
    SEMI JOIN version_in_force USING (version)
    SELECT
        rule_id,
        min(rule_order) AS rule_order,
        any_value(threshold) AS threshold,
        count(*) FILTER (kind = 'match') AS hashes,
        count(*) FILTER (kind = 'match' AND set_aside IS NOT NULL) AS hashes_set_aside,
        count(*) FILTER (kind = 'except') AS except_hashes
    GROUP BY rule_id
),

since AS (
    FROM hashes_in_force
    SELECT
        rule_id,
        min(in_force_since) AS in_force_since
    GROUP BY rule_id
)

FROM rules
LEFT JOIN hashes ON hashes.rule_id = rules.id
LEFT JOIN since ON since.rule_id = rules.id
SELECT
    hashes.rule_order,
    rules.id AS rule_id,
    rules.label,
    rules.comment,
    rules.mode,
    list_filter(
        [
            CASE WHEN "toLabel" THEN 'label post' END,
            CASE WHEN "reportPost" THEN 'report post' END,
            CASE WHEN "takedownPost" THEN 'take post down' END,
            CASE WHEN "labelAcct" THEN 'label account' END,
            CASE WHEN "reportAcct" THEN 'report account' END,
            CASE WHEN "takedownAcct" THEN 'take account down' END
        ],
        lambda act: act IS NOT NULL
    ) AS acts,
    rules.algorithm,
    hashes.threshold,
    coalesce(hashes.hashes, 0) AS hashes,
    coalesce(hashes.hashes_set_aside, 0) AS hashes_set_aside,
    coalesce(hashes.except_hashes, 0) AS except_hashes,
    rules.expires::TIMESTAMPTZ AS expires,
    since.in_force_since;
