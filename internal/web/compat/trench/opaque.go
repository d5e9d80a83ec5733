package trench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	// opaqueTag is how many bytes of the MAC an auth_token carries.
	opaqueTag = 4
	// opaqueChars is the length of an auth_token, as the original's clients have
	// room for it.
	opaqueChars = 2 * (aes.BlockSize + opaqueTag)
)

// opaque makes and reads the auth_token of the original: 40 hexadecimal digits. The
// original keeps a table of them. We keep none: the token is the id of its session,
// which is 16 random bytes and so one block of AES-256, enciphered, and 32 bits of an
// HMAC-SHA256 over the block. An id of a session is no secret, it stands in events and
// lists; without the key nobody makes the block of one. Who guesses at random meets a
// living session's block once in 2^128 tries over the number of sessions; the MAC
// only keeps such guesses away from the store.
type opaque struct {
	block cipher.Block
	mac   []byte
}

func newOpaque(key, mac []byte) (*opaque, error) {
	if len(key) != 32 || len(mac) != 32 {
		return nil, errors.New("compat.trench: the keys of auth_token do not have 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("compat.trench: %w", err)
	}
	return &opaque{block: block, mac: mac}, nil
}

// make returns the token of a session's id.
func (o *opaque) make(sid string) (string, error) {
	id, err := hex.DecodeString(sid)
	if err != nil || len(id) != aes.BlockSize {
		return "", errors.New("make auth_token: the id of a session has 32 hexadecimal digits")
	}
	token := make([]byte, aes.BlockSize, aes.BlockSize+opaqueTag)
	o.block.Encrypt(token, id)
	return hex.EncodeToString(append(token, o.tag(token)...)), nil
}

// read returns the id of the session that a token stands for.
func (o *opaque) read(token string) (sid string, good bool) {
	if len(token) != opaqueChars {
		return "", false
	}
	raw, err := hex.DecodeString(token)
	if err != nil || hex.EncodeToString(raw) != token {
		return "", false
	}
	block, tag := raw[:aes.BlockSize], raw[aes.BlockSize:]
	if !hmac.Equal(tag, o.tag(block)) {
		return "", false
	}
	id := make([]byte, aes.BlockSize)
	o.block.Decrypt(id, block)
	return hex.EncodeToString(id), true
}

func (o *opaque) tag(block []byte) []byte {
	mac := hmac.New(sha256.New, o.mac)
	mac.Write(block)
	return mac.Sum(nil)[:opaqueTag]
}
