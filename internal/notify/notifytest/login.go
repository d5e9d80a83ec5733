package notifytest

import (
	"crypto/hmac"
	"crypto/md5" // RFC 2195 says so
	"encoding/hex"
	"strings"

	"github.com/emersion/go-smtp"
)

// cram is the server's side of CRAM-MD5 (RFC 2195).
type cram struct {
	v         *visit
	challenge string
	asked     bool
}

func (c *cram) Next(response []byte) (challenge []byte, done bool, err error) {
	if !c.asked {
		c.asked = true
		return []byte(c.challenge), false, nil
	}
	user, digest, _ := strings.Cut(string(response), " ")
	mac := hmac.New(md5.New, []byte(c.v.s.password))
	mac.Write([]byte(c.challenge))
	if !hmac.Equal([]byte(user+" "+digest), []byte(c.v.s.user+" "+hex.EncodeToString(mac.Sum(nil)))) {
		return nil, false, smtp.ErrAuthFailed
	}
	c.v.user = user
	return nil, true, nil
}

// ask is the server's side of LOGIN, which no RFC describes and all speak.
type ask struct {
	judge func(user, password string) error
	step  int
	user  string
}

func (a *ask) Next(response []byte) (challenge []byte, done bool, err error) {
	if a.step == 0 && response != nil { // with an initial response
		a.step++
	}
	a.step++
	switch a.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		a.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, a.judge(a.user, string(response))
}
