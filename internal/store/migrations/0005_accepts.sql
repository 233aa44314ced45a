-- What a server was last found to accept, which is asked more seldom than the
-- rest: JSON, NULL if it never was. (It was in rare, where it did not last.)
ALTER TABLE view ADD COLUMN accepts TEXT;
