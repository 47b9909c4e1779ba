export const MULTIPART_SCHEMA = `
  CREATE TABLE IF NOT EXISTS multipart_uploads (
    id TEXT PRIMARY KEY,               -- of one key, later ones come after earlier ones
    key TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    active_ms INTEGER NOT NULL,        -- when it was created, or the last part came
    fields TEXT NOT NULL,              -- JSON: what the object's manifest will say
    checksum TEXT                      -- JSON {algorithm, type}
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS multipart_uploads_key ON multipart_uploads (key, id);
  CREATE INDEX IF NOT EXISTS multipart_uploads_active ON multipart_uploads (active_ms);
  CREATE TABLE IF NOT EXISTS multipart_parts (
    upload_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    md5 TEXT NOT NULL,                 -- hexadecimal
    checksums TEXT NOT NULL,           -- JSON, by algorithm in base64
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (upload_id, number)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS multipart_parts_sha256 ON multipart_parts (sha256);
  CREATE TABLE IF NOT EXISTS multipart_completed ( -- answers, for who asks again
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    answer TEXT NOT NULL               -- JSON
  );
  CREATE TABLE IF NOT EXISTS upload_details ( -- of objects that have more to tell of their upload than their row says
    key TEXT PRIMARY KEY,
    checksums TEXT,                    -- JSON {type, values}
    part_sizes TEXT                    -- JSON: bytes of each part, of a multipart upload
  ) WITHOUT ROWID;
`;
