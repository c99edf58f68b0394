-- By which algorithms are the hashes of the rules in force?
FROM rule_hashes
SEMI JOIN version_in_force USING (version)
SELECT DISTINCT algorithm
ORDER BY algorithm;
