package registry

import (
	"io"
	"log"
	"net"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// listenOn listens on an address of this machine: the whole of 127.0.0.0/8 is
// here, so that one machine can play several.
func listenOn(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func listen(t *testing.T, address string) string {
	t.Helper()
	return listenOn(t, address).Addr().String()
}

func descriptorOf(text string) v1.Descriptor {
	return v1.Descriptor{Size: int64(len(text)), Digest: v1.Hash{Algorithm: "sha256", Hex: strings.TrimPrefix(digestOf([]byte(text)), "sha256:")}}
}

// quietLog is for servers whose handshakes a test has fail.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }
