package otp

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// A YubiKey types its public identity and 16 encrypted bytes in modhex, sixteen letters
// that keyboards of many countries have in the same place. Decrypted they are a private
// identity, two counters that only grow, a clock and a checksum, little-endian (Yubico,
// "The YubiKey Manual", section "Yubico OTP"; the fields stand in yubikey.h of its C
// library, an example in the library's test-vectors.txt).

const (
	// YubiKeySecret is the length of a YubiKey's AES-128 key, in bytes.
	YubiKeySecret = 16
	// YubiKeyPrivate is the length of its private identity, in bytes.
	YubiKeyPrivate = 6
	// MaxYubiKeyPublic is the greatest length of its public identity, in bytes; usual are 6.
	MaxYubiKeyPublic = 16

	yubiKeyCipher = 16
	// sessionMask leaves out the highest bit of the session counter: it says that
	// caps lock had the key type, and counts nothing (yubikey.h).
	sessionMask  = 0x7fff
	modhexDigits = "cbdefghijklnrtuv"
	hexDigits    = "0123456789abcdef"
	// crcResidue is what the checksum is over all bytes, itself included (ISO 13239).
	crcResidue = 0xf0b8
)

// ErrNotYubiKey: a text is not what a YubiKey types, or was not encrypted with the key.
// It says no more: the text is a secret.
var ErrNotYubiKey = errors.New("not a one-time password of a YubiKey")

// YubiKeyOTP is what a YubiKey typed.
type YubiKeyOTP struct {
	Public string // identity, in modhex, lower case; may be empty
	cipher [yubiKeyCipher]byte
}

// ParseYubiKey reads what a YubiKey typed, in capitals or not, with white space around
// it; other letters are none of its letters, whatever keyboard made them.
// Errors: ErrNotYubiKey.
func ParseYubiKey(text string) (YubiKeyOTP, error) {
	var o YubiKeyOTP
	text = strings.Trim(text, " \t\r\n")
	public := len(text) - 2*yubiKeyCipher
	if public < 0 || public > 2*MaxYubiKeyPublic || public%2 != 0 {
		return o, ErrNotYubiKey
	}
	text = lower(text)
	bytes, err := Modhex(text)
	if err != nil {
		return o, err
	}
	o.Public = text[:public]
	copy(o.cipher[:], bytes[public/2:])
	return o, nil
}

// String returns the text as a YubiKey types it.
func (o YubiKeyOTP) String() string { return o.Public + FormatModhex(o.cipher[:]) }

// YubiKeyUse is what is inside of a one-time password.
type YubiKeyUse struct {
	Private [YubiKeyPrivate]byte
	Session uint16 // grows with the first one-time password after power comes; at most 0x7fff
	Count   uint8  // grows with each one-time password of a session
	Clock   uint32 // 8 Hz, 24 bits, from a random start
	Random  uint16
}

// Counter orders the one-time passwords of a YubiKey: a later one has a greater one, and
// no two have the same. It has 23 bits.
func (u YubiKeyUse) Counter() uint32 { return uint32(u.Session)<<8 | uint32(u.Count) }

// Open decrypts a one-time password and compares the private identity, in constant
// time. It says nothing about use: compare Counter with the last one that was accepted.
// Errors: ErrNotYubiKey, whatever is wrong.
func (o YubiKeyOTP) Open(key, private []byte) (YubiKeyUse, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(key) != YubiKeySecret || len(private) != YubiKeyPrivate {
		return YubiKeyUse{}, ErrNotYubiKey
	}
	var plain [yubiKeyCipher]byte
	block.Decrypt(plain[:], o.cipher[:])
	u := YubiKeyUse{
		Session: binary.LittleEndian.Uint16(plain[6:]) & sessionMask, Clock: uint32(binary.LittleEndian.Uint16(plain[8:])) | uint32(plain[10])<<16,
		Count: plain[11], Random: binary.LittleEndian.Uint16(plain[12:]),
	}
	copy(u.Private[:], plain[:])
	same := subtle.ConstantTimeCompare(u.Private[:], private)
	whole := subtle.ConstantTimeEq(int32(crc16(plain[:])), crcResidue)
	if same&whole != 1 {
		return YubiKeyUse{}, ErrNotYubiKey
	}
	return u, nil
}

// Seal makes the one-time password of a use: what a YubiKey does. It is for tests, and
// panics over a key of another length.
func (u YubiKeyUse) Seal(public string, key []byte) YubiKeyOTP {
	var plain [yubiKeyCipher]byte
	copy(plain[:], u.Private[:])
	binary.LittleEndian.PutUint16(plain[6:], u.Session)
	binary.LittleEndian.PutUint16(plain[8:], uint16(u.Clock))
	plain[10], plain[11] = byte(u.Clock>>16), u.Count
	binary.LittleEndian.PutUint16(plain[12:], u.Random)
	binary.LittleEndian.PutUint16(plain[14:], ^crc16(plain[:14]))
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	o := YubiKeyOTP{Public: public}
	block.Encrypt(o.cipher[:], plain[:])
	return o
}

// crc16 is the checksum of ISO 13239, before its last inversion.
func crc16(bytes []byte) uint16 {
	crc := uint16(0xffff)
	for _, b := range bytes {
		crc ^= uint16(b)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low == 1 {
				crc ^= 0x8408
			}
		}
	}
	return crc
}

// Modhex reads a text in modhex, in capitals or not. Errors: ErrNotYubiKey.
func Modhex(text string) ([]byte, error) {
	digits := make([]byte, len(text))
	for i, c := range []byte(lower(text)) {
		n := strings.IndexByte(modhexDigits, c)
		if n < 0 {
			return nil, ErrNotYubiKey
		}
		digits[i] = hexDigits[n]
	}
	bytes, err := hex.DecodeString(string(digits))
	if err != nil {
		return nil, ErrNotYubiKey
	}
	return bytes, nil
}

// FormatModhex writes bytes in modhex, lower case.
func FormatModhex(bytes []byte) string {
	text := []byte(hex.EncodeToString(bytes))
	for i, c := range text {
		text[i] = modhexDigits[strings.IndexByte(hexDigits, c)]
	}
	return string(text)
}

// lower is ASCII only: strings.ToLower would turn the sign of Kelvin into k.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}
