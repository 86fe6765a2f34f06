package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rootlet/pull/serve"
)

// listen runs a registry on a real listener, and returns its address and what
// ends it.
func listen(t *testing.T, storage serve.Storage, o serve.Options) (string, func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- serve.Run(ctx, l, serve.New(storage, o), nil) }()
	return l.Addr().String(), func() error { cancel(); return <-ended }
}

// Whoever sends half a chunk and then nothing is let go, and what has come
// stays.
func TestASilentClientIsLetGo(t *testing.T) {
	address, _ := listen(t, storages(t)["folder"], serve.Options{Silence: 300 * time.Millisecond})
	c := &client{t, "http://" + address}
	at := c.begin("x")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf", at)
	began := time.Now()
	_ = conn.SetReadDeadline(began.Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the connection is still open after %s: %v", time.Since(began), err)
	}
	c.do("GET", at, nil).is(http.StatusNoContent).has("Range", "0-3")
}

// One that sends a little now and then is not.
func TestASlowClientIsNot(t *testing.T) {
	address, _ := listen(t, storages(t)["folder"], serve.Options{Silence: 400 * time.Millisecond})
	c := &client{t, "http://" + address}
	content := []byte("slowly.")
	r, w := io.Pipe()
	go func() {
		for _, b := range content {
			time.Sleep(100 * time.Millisecond)
			_, _ = w.Write([]byte{b})
		}
		w.Close()
	}()
	request, _ := http.NewRequest("PUT", c.url+c.begin("x")+"?digest="+digest(content), r)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("%s", response.Status)
	}
}

// A request that is under way when the server is to end is answered; a new one
// finds nobody.
func TestTheServerEndsWhenItsRequestsHave(t *testing.T) {
	address, end := listen(t, storages(t)["folder"], serve.Options{})
	c := &client{t, "http://" + address}
	content := []byte("to the end")
	at := c.begin("x")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT %s?digest=%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", at, digest(content), len(content), content[:2])
	time.Sleep(100 * time.Millisecond) // until it is being read
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	time.Sleep(100 * time.Millisecond)
	if _, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		t.Error("still listens")
	}
	_, _ = conn.Write(content[2:])
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("%s", response.Status)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("does not end")
	}
}

// The log hears of what was sent, also where the kernel sent it.
func TestWhatIsLogged(t *testing.T) {
	var logged []serve.Entry
	address, end := listen(t, storages(t)["folder"], serve.Options{Log: func(e serve.Entry) { logged = append(logged, e) }})
	c := &client{t, "http://" + address}
	content := bytes.Repeat([]byte("large"), 1<<20)
	d := c.push("x", content)
	c.do("GET", "/v2/x/blobs/"+d, nil).is(http.StatusOK).equals(content)
	c.do("GET", "/v2/x/blobs/"+d, nil, "Range", "bytes=3000000-4999999").is(http.StatusPartialContent).equals(content[3000000:5000000])
	if err := end(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range logged {
		got = append(got, fmt.Sprintf("%s %d %d", e.Method, e.Status, e.Bytes))
	}
	if want := "POST 202 0,PUT 201 0,GET 200 5242880,GET 206 2000000"; strings.Join(got, ",") != want {
		t.Errorf("logged %q, not %q", got, want)
	}
}
