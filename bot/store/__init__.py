"""Tables, records, jobs, migrations: the database arbitrates, and nothing here talks to a network."""
