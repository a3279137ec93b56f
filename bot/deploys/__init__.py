"""The ground floor: what a deploy is and the rules it follows. Pure: no network, no database, no clock."""
