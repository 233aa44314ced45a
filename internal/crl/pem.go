package crl

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
)

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemDash  = "-----"

	// maxText bounds what may stand before and between PEM blocks, apart from
	// what the limit of a list lets other blocks have.
	maxText = 1 << 20
)

// nextBlock returns the decoded body of the next PEM block that holds a list,
// nil if there is none. The body has to be read to its end.
func nextBlock(in *bufio.Reader, limit int64) (io.Reader, error) {
	for left := 2*limit + maxText; left > 0; {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		left -= int64(len(line)) + 1
		label, ok := bytes.CutPrefix(bytes.TrimRight(line, " \t\r\n"), []byte(pemBegin))
		if !ok {
			continue
		}
		switch string(bytes.TrimSuffix(label, []byte(pemDash))) {
		case "X509 CRL", "CRL":
			return base64.NewDecoder(base64.StdEncoding, &blockBody{in: in}), nil
		}
	}
	return nil, fail(0, "too much text before a list")
}

// readLine returns the next line, or as much of it as the buffer holds: longer
// ones are no line of PEM, and come in pieces.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return line, err
}

// A blockBody reads the lines up to the end of a PEM block.
type blockBody struct {
	in   *bufio.Reader
	line []byte // what is left of the present one
	done bool
}

func (b *blockBody) Read(p []byte) (int, error) {
	for len(b.line) == 0 {
		if b.done {
			return 0, io.EOF
		}
		line, err := readLine(b.in)
		switch {
		case errors.Is(err, io.EOF):
			return 0, fail(0, "the PEM block has no end")
		case err != nil:
			return 0, err
		case bytes.HasPrefix(line, []byte(pemEnd)):
			b.done = true
			continue
		}
		b.line = bytes.TrimSpace(line)
	}
	n := copy(p, b.line)
	b.line = b.line[n:]
	return n, nil
}
