package portal

import (
	"net/http"
	"strconv"
	"strings"
)

type startBody struct {
	Name, Host string
	Portal     bool // this cookie opens the account
	Site       bool // a site of its own shares this host
}

// start says where one is.
func start(x *exchange) error {
	v := view{Title: x.p.say("start.title"), Body: startBody{Name: x.name(), Host: x.host(), Portal: x.live.Portal, Site: x.p.portal == ""}}
	if x.live.Identity == nil {
		v.Title = x.p.say("start.nobody")
	}
	switch m := x.query["m"]; {
	case m == "target" && x.live.Identity != nil:
		v.Notice = x.p.say("start.target")
	case m == resetDone && x.live.Identity != nil:
		v.Notice = x.p.say("reset.done-in")
	case m == "signedout" && x.live.Identity == nil:
		v.Title = x.p.say("start.signedout")
	case strings.HasPrefix(m, "recovery-"):
		if n, err := strconv.ParseUint(strings.TrimPrefix(m, "recovery-"), 10, 8); err == nil && x.live.Identity != nil {
			v.Notice = x.p.say("recovery.left", n)
		}
	}
	return x.page(http.StatusOK, "start", v)
}
