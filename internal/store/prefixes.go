package store

// Prefix is the start of all keys of one room. Nobody writes below another's.
type Prefix string

// The prefixes, each with the room that owns it.
const (
	PrefixAccount  Prefix = "a/" // realms, users, services, indexes over them
	PrefixCompat   Prefix = "c/" // what facades remember
	PrefixAudit    Prefix = "e/" // events
	PrefixFactor   Prefix = "f/" // second factors, recovery codes, burned steps
	PrefixKeys     Prefix = "k/" // signing keys, owned by session
	PrefixLogin    Prefix = "l/" // ephemeral tokens, links, trusted browsers
	PrefixMeta     Prefix = "m/" // the store's own: check record, root, schema
	PrefixNotify   Prefix = "n/" // outbox
	PrefixOnce     Prefix = "o/" // answers that the API gives again, owned by web/api
	PrefixSession  Prefix = "s/" // sessions, refresh tokens
	PrefixThrottle Prefix = "t/" // counters of wrong tries
)

// Owner says which room owns a prefix.
type Owner struct {
	Prefix Prefix
	Room   string
	Holds  string
}

// Prefixes is the table of all prefixes. A test proves that none is the start of
// another.
func Prefixes() []Owner {
	return []Owner{
		{PrefixAccount, "account", "realms, users, services and indexes over them"},
		{PrefixCompat, "compat", "what facades remember"},
		{PrefixAudit, "audit", "events"},
		{PrefixFactor, "factor", "second factors, recovery codes, burned steps"},
		{PrefixKeys, "session", "signing keys"},
		{PrefixLogin, "login", "ephemeral tokens, links, trusted browsers"},
		{PrefixMeta, "store", "check record, root, schema"},
		{PrefixNotify, "notify", "outbox"},
		{PrefixOnce, "web/api", "answers that are given again for an Idempotency-Key"},
		{PrefixSession, "session", "sessions and refresh tokens"},
		{PrefixThrottle, "throttle", "counters of wrong tries"},
	}
}
