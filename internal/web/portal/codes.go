package portal

import (
	"net/http"
	"regexp"
	"strings"
)

const (
	maxCodes = 100 // the most that a realm may hand out in one set
)

// codeShape is what a recovery code looks like: groups between hyphens.
// Whatever else is posted as one is not sent back as a file.
var codeShape = regexp.MustCompile(`^[0-9A-Za-z]+(-[0-9A-Za-z]+)*$`)

type codesBody struct {
	Name, Next string
	Way        way
	Codes      []string
}

// showCodes shows recovery codes, the one time that they exist in clear.
func (x *exchange) showCodes(name string, codes []string, next string) error {
	b := codesBody{Name: name, Codes: codes, Next: next, Way: x.way(next)}
	return x.page(http.StatusOK, "codes", view{Title: x.p.say("codes.title"), Body: b})
}

// codesFile hands the codes of the page back as a file. The browser sends
// them: the server keeps none that could be read again, and no URL holds one.
func codesFile(x *exchange) error {
	if len(x.many) == 0 || len(x.many) > maxCodes {
		return errMalformed
	}
	for _, code := range x.many {
		if !codeShape.MatchString(code) {
			return errMalformed
		}
	}
	h := x.w.Header()
	h.Set("Content-Disposition", `attachment; filename="sallyport-recovery-codes.txt"`)
	head := x.p.say("codes.file", x.p.site, x.name(), x.now.UTC().Format("2006-01-02"))
	return x.plain(http.StatusOK, head+strings.Join(x.many, "\n")+"\n")
}
