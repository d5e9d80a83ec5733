package importing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/sallyport-auth/sallyport/internal/secret"
)

// Sizes of a Fernet token, in bytes: version and time, the initialisation vector,
// one block or more, and the MAC.
const (
	fernetVersion = 0x80
	fernetHead    = 1 + 8
	fernetKeySize = 32
)

// Fernet is the key with which fastapi_2fa encrypts seeds: the token format of the
// Python library cryptography (AES-128 in CBC mode, then HMAC-SHA256). The nil key
// opens nothing.
type Fernet struct {
	sign, encrypt secret.Bytes
}

// errFernet is all that is said of a token: it may be damaged, of another key, or
// no token.
var errFernet = errors.New("the Fernet key does not open this")

// ParseFernet reads a key: 32 bytes in base64 with - and _, padding optional. The
// error never repeats it.
func ParseFernet(text string) (*Fernet, error) {
	raw, err := fernetBytes(strings.TrimSpace(text))
	if err != nil || len(raw) != fernetKeySize {
		return nil, errors.New("a Fernet key is 32 bytes in base64: 44 letters, digits, - and _, as FERNET_KEY_TFA_TOKEN holds it")
	}
	return &Fernet{sign: secret.NewBytes(raw[:fernetKeySize/2]), encrypt: secret.NewBytes(raw[fernetKeySize/2:])}, nil
}

// Open returns what a token holds. Its age does not matter: it is a record, and no
// message. Nothing is decrypted before the MAC was found good.
func (k *Fernet) Open(token string) ([]byte, error) {
	raw, err := fernetBytes(token)
	if k == nil || err != nil || len(raw) < fernetHead+2*aes.BlockSize+sha256.Size || raw[0] != fernetVersion {
		return nil, errFernet
	}
	signed, sum := raw[:len(raw)-sha256.Size], raw[len(raw)-sha256.Size:]
	mac := hmac.New(sha256.New, k.sign.Reveal())
	_, _ = mac.Write(signed) // never fails
	if !hmac.Equal(mac.Sum(nil), sum) {
		return nil, errFernet
	}
	iv, text := signed[fernetHead:fernetHead+aes.BlockSize], signed[fernetHead+aes.BlockSize:]
	block, err := aes.NewCipher(k.encrypt.Reveal())
	if err != nil || len(text)%aes.BlockSize != 0 {
		return nil, errFernet
	}
	plain := make([]byte, len(text))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, text)
	return unpad(plain)
}

// unpad takes the padding of PKCS #7 away. Whoever could choose it has the key: its
// time tells nothing.
func unpad(text []byte) ([]byte, error) {
	size := int(text[len(text)-1])
	if size < 1 || size > aes.BlockSize {
		return nil, errFernet
	}
	for _, b := range text[len(text)-size:] {
		if int(b) != size {
			return nil, errFernet
		}
	}
	return text[:len(text)-size], nil
}

func fernetBytes(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // base64 would skip them
		return nil, errFernet
	}
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}
