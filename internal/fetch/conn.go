package fetch

import (
	"net"
	"sync"
)

// A clientFirst connection gives out nothing that came before something was
// sent. To net/http an answer without a question is a fault of its own, which
// it prints with the answer to standard error; to us it is a bad answer like
// any other.
type clientFirst struct {
	net.Conn
	ready chan struct{} // closed by the first Write, or by Close
	once  sync.Once
}

func newClientFirst(c net.Conn) *clientFirst {
	return &clientFirst{Conn: c, ready: make(chan struct{})}
}

func (c *clientFirst) Read(b []byte) (int, error) {
	<-c.ready
	return c.Conn.Read(b)
}

func (c *clientFirst) Write(b []byte) (int, error) {
	c.once.Do(func() { close(c.ready) })
	return c.Conn.Write(b)
}

func (c *clientFirst) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.ready) })
	return err
}
