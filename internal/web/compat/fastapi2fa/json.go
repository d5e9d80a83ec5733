package fastapi2fa

import (
	"bytes"
	"errors"

	"github.com/sallyport-auth/sallyport/internal/web/compat/pyjson"
)

// maxDepth bounds the nesting of a body: far more than any call needs, and less than
// at what the original gave up. maxDigits bounds a whole number, as Python does.
const (
	maxDepth  = 500
	maxDigits = 4300
)

// notJSON says where a text stops being JSON. The original repeats the whole body in
// ctx.doc: it holds passwords, so it is left out.
type notJSON struct {
	Msg    string `json:"msg"`
	Pos    int    `json:"pos"`
	Lineno int    `json:"lineno"`
	Colno  int    `json:"colno"`
}

// decode reads a JSON body. Errors: a reply.
func decode(body []byte) (any, error) {
	text := bytes.TrimPrefix(body, []byte("\ufeff"))
	if bytes.IndexByte(text[:min(len(text), 2)], 0) >= 0 { // UTF-16
		return nil, errBody()
	}
	v, err := pyjson.Reader{Depth: maxDepth, Leaves: true, Digits: maxDigits, BOM: true}.Decode(body)
	if bad, ok := errors.AsType[*pyjson.SyntaxError](err); ok {
		return nil, unprocessable(invalid{
			Loc: []any{"body", bad.Char}, Msg: bad.Error(), Type: "value_error.jsondecode",
			Ctx: notJSON{Msg: bad.Msg, Pos: bad.Char, Lineno: bad.Line, Colno: bad.Column},
		})
	}
	if err != nil {
		return nil, errBody()
	}
	return v, nil
}
