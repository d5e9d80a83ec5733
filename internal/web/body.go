package web

import (
	"io"
	"net/http"
	"time"
)

// bodyTime bounds how long a body may take to arrive.
const bodyTime = 10 * time.Second

// ReadBody reads a whole body of at most max bytes, which must arrive within
// ten seconds: a sender of one byte a minute would otherwise hold a connection,
// and what waits behind it, for ever. The deadline is gone afterwards: it would
// end the request, however long the answer may take, and the next one of the
// connection. After an error it stays, because the server then reads on through
// what is left of the body.
// Errors: *http.MaxBytesError; others: the body did not arrive whole.
func ReadBody(w http.ResponseWriter, r *http.Request, max int64) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime)) // a request without a connection has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	if err != nil {
		return nil, err
	}
	_ = control.SetReadDeadline(time.Time{})
	return body, nil
}
