-- What chains were judged by besides trust stores, to judge by it again.
ALTER TABLE scan ADD COLUMN judging TEXT NOT NULL DEFAULT '{}'; -- JSON object
