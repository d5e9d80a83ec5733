package pgtest

import "os"

// Second reports whether this is the second pass of scripts/test.sh: the end-to-end
// tests once more, with the states of all servers in PostgreSQL. Then the servers'
// configurations name a database, and the tests manage them as the command line
// does: by opening the database beside them.
func Second() bool { return os.Getenv("SALLYPORT_TEST_STORAGE") == "postgres" }

// MasterKey seals the databases of the second pass.
const MasterKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
