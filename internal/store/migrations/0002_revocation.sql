-- OCSP answers are evidence too: what was asked is part of the key.
CREATE TABLE evidence_with_request (
	kind         TEXT NOT NULL,
	url          TEXT NOT NULL,
	request      TEXT NOT NULL, -- base64 of an OCSP request; '': there is none
	certificates BLOB NOT NULL, -- DER, each after its length in 4 bytes
	ocsp         BLOB,          -- DER of an OCSP response
	error        TEXT NOT NULL,
	error_word   TEXT NOT NULL,
	fetched_at   INTEGER NOT NULL,
	expires      INTEGER NOT NULL,
	PRIMARY KEY (kind, url, request)
) STRICT;
INSERT INTO evidence_with_request (kind, url, request, certificates, error, error_word, fetched_at, expires)
	SELECT kind, url, '', certificates, error, '', fetched_at, expires FROM evidence;
DROP TABLE evidence;
ALTER TABLE evidence_with_request RENAME TO evidence;
