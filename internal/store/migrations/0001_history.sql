-- Times are Unix milliseconds (two scans within a second must not look like
-- one), except the validity of certificates, which is in Unix seconds. Hashes
-- are raw SHA-256. Rows refer to each other by content; ids of rows stay inside
-- a file and never leave this package. Tables whose keys come in no order keep
-- their rows apart from the index (no WITHOUT ROWID), which dirties fewer pages.

CREATE TABLE scan (
	id        TEXT PRIMARY KEY,
	version   TEXT NOT NULL,
	arguments TEXT NOT NULL, -- JSON array
	started   INTEGER NOT NULL,
	ended     INTEGER,       -- NULL: running, or killed
	partial   INTEGER NOT NULL CHECK (partial IN (0, 1)),
	stores    TEXT NOT NULL  -- JSON array: the trust stores that judged
) STRICT, WITHOUT ROWID;

-- What a scan that is not complete has finished: one row for each batch, 16
-- bytes of SHA-256 for each target. It goes when the scan completes.
CREATE TABLE progress (
	scan    TEXT NOT NULL REFERENCES scan (id),
	targets BLOB NOT NULL CHECK (length(targets) % 16 = 0)
) STRICT;
CREATE INDEX progress_scan ON progress (scan);

-- Every certificate that was ever served, once. What could not be parsed has
-- NULL for spki, tbs and the dates; issuer_key is the key whose signature on it
-- was verified, NULL if none was.
CREATE TABLE certificate (
	id         INTEGER PRIMARY KEY,
	sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
	spki       BLOB CHECK (length(spki) = 32),
	issuer_key BLOB CHECK (length(issuer_key) = 32),
	tbs        BLOB CHECK (length(tbs) = 32), -- without poison and SCT list
	not_before INTEGER,
	not_after  INTEGER,
	first_seen INTEGER NOT NULL,
	der        BLOB NOT NULL
) STRICT;

-- The names of leaves with their labels reversed ("com.example.www",
-- "com.example.*"), so that all names below one are one range. Addresses stand
-- as they are.
CREATE TABLE name (
	reversed    TEXT NOT NULL,
	certificate BLOB NOT NULL REFERENCES certificate (sha256),
	PRIMARY KEY (reversed, certificate)
) STRICT, WITHOUT ROWID;

-- A chain is the hashes of its certificates as served, one after the other; its
-- id is the hash of that.
CREATE TABLE chain (
	id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 32),
	certificates BLOB NOT NULL CHECK (length(certificates) > 0 AND length(certificates) % 32 = 0)
) STRICT;

CREATE TABLE target (
	key        TEXT NOT NULL PRIMARY KEY,
	host       TEXT NOT NULL,
	port       INTEGER NOT NULL CHECK (port BETWEEN 0 AND 65535),
	protocol   TEXT NOT NULL,
	address    TEXT NOT NULL,
	labels     TEXT NOT NULL, -- JSON object
	sources    TEXT NOT NULL, -- JSON array
	meta       BLOB NOT NULL, -- hash of labels and sources as last given
	first_seen INTEGER NOT NULL,
	forgotten  INTEGER        -- NULL: live
) STRICT;

-- A view with its present state. A scan that finds the same state again touches
-- only this row, and adds none.
CREATE TABLE view (
	id       INTEGER PRIMARY KEY,
	target   TEXT NOT NULL REFERENCES target (key),
	address  TEXT NOT NULL, -- '': the name could not be resolved
	location TEXT NOT NULL,
	offer    TEXT NOT NULL,

	-- The state: facts that make another span when they change. state is their
	-- hash; it takes the chains (chain and pool) as a set.
	state              BLOB NOT NULL CHECK (length(state) = 16),
	reach              TEXT NOT NULL,
	version            TEXT, -- NULL, as the next four: no ServerHello was received
	suite              TEXT,
	key_exchange       TEXT,
	alpn               TEXT,
	client_certificate INTEGER,
	chain              BLOB REFERENCES chain (id),               -- NULL: none was served
	pool               BLOB CHECK (length(pool) % 32 = 0), -- ids of further chains, sorted

	-- The span of that state.
	seq        INTEGER NOT NULL, -- 1 for the first state of the view
	first_seen INTEGER NOT NULL,
	last_seen  INTEGER NOT NULL CHECK (last_seen >= first_seen),
	count      INTEGER NOT NULL, -- examinations that saw it

	-- What is remembered of earlier states.
	last_chain     BLOB,    -- set while chain is NULL: what was served last, ...
	last_served    INTEGER, -- ... and when
	previous_chain BLOB,    -- before chain, or before last_chain
	back_after     INTEGER, -- the state before last came back after so many examinations

	-- Currency: successful resolutions in a row without the address.
	missed  INTEGER NOT NULL DEFAULT 0,
	retired INTEGER,

	-- Of the latest examination only.
	schema     INTEGER NOT NULL,
	slot       INTEGER NOT NULL,
	attempt    INTEGER NOT NULL,
	detail     TEXT NOT NULL,
	method     TEXT,             -- of capture; NULL: no certificate was received
	flags      INTEGER NOT NULL, -- 1 handshake complete, 2 possession proven, 4 stapled
	timings    BLOB NOT NULL,    -- resolve, connect, starttls, handshake: 4 bytes each, microseconds
	resolution TEXT,             -- JSON
	staple     BLOB,
	rare       TEXT,             -- JSON of what is seldom there

	UNIQUE (target, address, location, offer)
) STRICT;

-- The past states of a view.
CREATE TABLE span (
	target   TEXT NOT NULL,
	address  TEXT NOT NULL,
	location TEXT NOT NULL,
	offer    TEXT NOT NULL,
	seq      INTEGER NOT NULL,

	state              BLOB NOT NULL,
	reach              TEXT NOT NULL,
	version            TEXT,
	suite              TEXT,
	key_exchange       TEXT,
	alpn               TEXT,
	client_certificate INTEGER,
	chain              BLOB REFERENCES chain (id),
	pool               BLOB,

	first_seen INTEGER NOT NULL,
	last_seen  INTEGER NOT NULL CHECK (last_seen >= first_seen),
	until      INTEGER NOT NULL CHECK (until >= last_seen), -- the next state was first seen
	count      INTEGER NOT NULL,

	PRIMARY KEY (target, address, location, offer, seq),
	FOREIGN KEY (target, address, location, offer) REFERENCES view (target, address, location, offer)
) STRICT, WITHOUT ROWID;

-- Findings from when they opened to when they closed.
CREATE TABLE finding (
	id           INTEGER PRIMARY KEY,
	code         TEXT NOT NULL,
	rule         TEXT NOT NULL,
	subject_kind TEXT NOT NULL,
	subject_id   TEXT NOT NULL,
	target       TEXT NOT NULL, -- '': of no single target
	severity     TEXT NOT NULL,
	message      TEXT NOT NULL,
	tier         TEXT NOT NULL,
	ignored      TEXT NOT NULL,
	steps        TEXT NOT NULL, -- JSON array of earlier severities and tiers; '': none
	opened       INTEGER NOT NULL,
	closed       INTEGER CHECK (closed >= opened), -- NULL: open
	reason       TEXT NOT NULL CHECK ((closed IS NULL) = (reason = ''))
) STRICT;
CREATE UNIQUE INDEX finding_open ON finding (target, subject_kind, subject_id, code, rule) WHERE closed IS NULL;
CREATE INDEX finding_closed ON finding (closed) WHERE closed IS NOT NULL;

-- What was fetched to judge, also that it could not be had.
CREATE TABLE evidence (
	kind         TEXT NOT NULL,
	url          TEXT NOT NULL,
	certificates BLOB NOT NULL, -- DER, each after its length in 4 bytes
	error        TEXT NOT NULL,
	fetched_at   INTEGER NOT NULL,
	expires      INTEGER NOT NULL,
	PRIMARY KEY (kind, url)
) STRICT;
