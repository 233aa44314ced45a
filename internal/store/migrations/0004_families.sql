-- What is above a leaf: the key that signed it, and the certificates that are
-- served after it. Many chains share one, so a question about an authority
-- looks at few.
CREATE TABLE family (
	id         INTEGER PRIMARY KEY,
	issuer_key BLOB NOT NULL, -- x'': no signature on the leaf was verified; x'00': its own key signed it
	issuers    BLOB NOT NULL CHECK (length(issuers) % 32 = 0),
	UNIQUE (issuer_key, issuers)
) STRICT;
ALTER TABLE chain ADD COLUMN family INTEGER REFERENCES family (id);
INSERT INTO family (issuer_key, issuers)
	SELECT DISTINCT iif(c.issuer_key IS c.spki, iif(c.spki IS NULL, x'', x'00'), coalesce(c.issuer_key, x'')), substr(h.certificates, 33)
	FROM chain AS h LEFT JOIN certificate AS c ON c.sha256 = substr(h.certificates, 1, 32);
UPDATE chain SET family = (
	SELECT f.id FROM family AS f LEFT JOIN certificate AS c ON c.sha256 = substr(chain.certificates, 1, 32)
	WHERE f.issuers = substr(chain.certificates, 33)
		AND f.issuer_key = iif(c.issuer_key IS c.spki, iif(c.spki IS NULL, x'', x'00'), coalesce(c.issuer_key, x'')));
CREATE INDEX chain_family ON chain (family);

-- By the first four octets of a hash, which is enough to find few rows and half
-- the price of an index over all of it.
CREATE INDEX certificate_key ON certificate (substr(spki, 1, 4));
CREATE INDEX chain_leaf ON chain (substr(certificates, 1, 4));
