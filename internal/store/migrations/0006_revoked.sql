-- Who once said that a certificate is revoked, for good: that stays true when the
-- list, the responder or the server that stapled it is no longer at hand.
CREATE TABLE revocation (
	certificate BLOB PRIMARY KEY CHECK (length(certificate) = 32),
	source      TEXT NOT NULL,
	url         TEXT NOT NULL, -- '': it was served
	reason      TEXT NOT NULL,
	revoked_at  INTEGER NOT NULL,
	this_update INTEGER NOT NULL,
	next_update INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
