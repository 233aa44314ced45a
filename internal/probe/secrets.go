package probe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// A suite13 is a cipher suite of TLS 1.3 whose records can be opened.
type suite13 struct {
	id      uint16
	keyLen  int // bytes
	newHash func() hash.Hash
	newAEAD func(key []byte) (cipher.AEAD, error)
}

func suite13ByID(id uint16) (suite13, bool) {
	switch id {
	case 0x1301:
		return suite13{id, 16, sha256.New, newGCM}, true
	case 0x1302:
		return suite13{id, 32, sha512.New384, newGCM}, true
	case 0x1303:
		return suite13{id, 32, sha256.New, chacha20poly1305.New}, true
	}
	return suite13{}, false
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// expandLabel is HKDF-Expand-Label of RFC 8446, section 7.1.
func (s suite13) expandLabel(secret []byte, label string, context []byte, n int) ([]byte, error) {
	info := make([]byte, 0, 4+6+len(label)+len(context))
	info = append(info, byte(n>>8), byte(n), byte(6+len(label)))
	info = append(info, "tls13 "+label...)
	info = append(info, byte(len(context)))
	info = append(info, context...)
	return hkdf.Expand(s.newHash, secret, string(info), n)
}

// serverHandshakeSecret derives the server's handshake traffic secret from the
// shared secret and the transcript of both hellos (RFC 8446, section 7.1).
func (s suite13) serverHandshakeSecret(shared []byte, transcript hash.Hash) ([]byte, error) {
	size := s.newHash().Size()
	early, err := hkdf.Extract(s.newHash, make([]byte, size), nil)
	if err != nil {
		return nil, err
	}
	derived, err := s.expandLabel(early, "derived", s.newHash().Sum(nil), size)
	if err != nil {
		return nil, err
	}
	handshake, err := hkdf.Extract(s.newHash, shared, derived)
	if err != nil {
		return nil, err
	}
	return s.expandLabel(handshake, "s hs traffic", transcript.Sum(nil), size)
}

// An opener decrypts the records that a TLS 1.3 server sends with one secret.
type opener struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
}

func newOpener(s suite13, secret []byte) (*opener, error) {
	key, err := s.expandLabel(secret, "key", nil, s.keyLen)
	if err != nil {
		return nil, err
	}
	iv, err := s.expandLabel(secret, "iv", nil, 12)
	if err != nil {
		return nil, err
	}
	aead, err := s.newAEAD(key)
	if err != nil {
		return nil, err
	}
	return &opener{aead: aead, iv: iv}, nil
}

// open decrypts a record in place and returns its inner type and content.
func (o *opener) open(head, payload []byte) (typ byte, content []byte, err error) {
	var nonce [12]byte
	copy(nonce[:], o.iv)
	for i := range 8 {
		nonce[11-i] ^= byte(o.seq >> (8 * i))
	}
	o.seq++
	plain, err := o.aead.Open(payload[:0], nonce[:], payload, head)
	if err != nil {
		return 0, nil, fmt.Errorf("record %d: %w", o.seq-1, errHidden)
	}
	for len(plain) > 0 { // padding is zeros behind the type
		last := len(plain) - 1
		if plain[last] != 0 {
			return plain[last], plain[:last], nil
		}
		plain = plain[:last]
	}
	return 0, nil, fmt.Errorf("record %d has no type: %w", o.seq-1, errHidden)
}

// A keyLog keeps the line of a TLS key log that decrypts a server's handshake.
type keyLog struct{ line []byte }

const serverHandshakeLabel = "SERVER_HANDSHAKE_TRAFFIC_SECRET "

// Write implements [io.Writer]; crypto/tls writes whole lines.
func (k *keyLog) Write(line []byte) (int, error) {
	if len(line) > len(serverHandshakeLabel) && string(line[:len(serverHandshakeLabel)]) == serverHandshakeLabel {
		k.line = append(k.line[:0], line...)
	}
	return len(line), nil
}

// secret returns the server's handshake traffic secret, or nil.
func (k *keyLog) secret() []byte {
	fields := strings.Fields(string(k.line))
	if len(fields) != 3 {
		return nil
	}
	secret, err := hex.DecodeString(fields[2])
	if err != nil {
		return nil
	}
	return secret
}

// opener implements the keys argument of [readFlight] for a recorded handshake
// of crypto/tls.
func (k *keyLog) opener(h *serverHello, _ []byte) (*opener, error) {
	if h.retry {
		return nil, nil
	}
	suite, ok := suite13ByID(h.suite)
	secret := k.secret()
	if !ok || secret == nil {
		return nil, errNoSecret
	}
	return newOpener(suite, secret)
}
