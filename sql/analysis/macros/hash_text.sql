-- A hash as people write it, in hexadecimal: hash_text(hash, hash_2, hash_3, hash_4).
CREATE MACRO hash_text(hash, hash_2, hash_3, hash_4) AS concat(
    format('{:016x}', hash),
    format('{:016x}', hash_2),
    format('{:016x}', hash_3),
    format('{:016x}', hash_4)
);
