package cgroup

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rootlet/internal/testenv"
)

// TestScopeCall keeps the message what systemd takes: testdata/vm/limits.sh has it do so.
func TestScopeCall(t *testing.T) {
	testenv.Golden(t, "start-transient-unit.golden", hex.Dump(scopeCall("rootlet-a.scope", "", 4711).message(2)))
}

// answer makes a message as the bus would.
func answer(kind byte, to uint32, errorName, text string) []byte {
	var fields, body, e encoder
	fields.bytes = append(fields.bytes, fieldReplySerial)
	fields.signature("u")
	fields.uint32(to)
	if errorName != "" {
		fields.align(8)
		fields.bytes = append(fields.bytes, fieldErrorName)
		fields.signature("s")
		fields.string(errorName)
		body.string(text)
	}
	e.bytes = append(e.bytes, 'l', kind, 0, 1)
	e.uint32(uint32(len(body.bytes)))
	e.uint32(99)
	e.uint32(uint32(len(fields.bytes)))
	e.bytes = append(e.bytes, fields.bytes...)
	e.align(8)
	return append(e.bytes, body.bytes...)
}

// serve is a bus that answers each call by what is in the list.
func serve(t *testing.T, greeting string, answers ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		if line, err := r.ReadString('\n'); err != nil || line != "\x00AUTH EXTERNAL 31303030\r\n" { // 1000
			return
		}
		_, _ = io.WriteString(conn, greeting)
		if line, err := r.ReadString('\n'); err != nil || line != "BEGIN\r\n" {
			return
		}
		for _, a := range answers {
			if _, err := readMessage(r); err != nil {
				return
			}
			_, _ = conn.Write(a)
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	return "unix:path=" + path
}

func TestBus(t *testing.T) {
	const ok = "OK 1234deadbeef\r\n"
	hello := answer(2, 1, "", "")
	signal := answer(4, 0, "", "")
	for name, test := range map[string]struct {
		greeting string
		answers  [][]byte
		want     string
	}{
		"does it":       {ok, [][]byte{hello, bytes.Join([][]byte{signal, answer(2, 2, "", "")}, nil)}, ""},
		"refuses us":    {"REJECTED EXTERNAL\r\n", nil, "the bus refuses us"},
		"refuses it":    {ok, [][]byte{hello, answer(3, 2, "org.freedesktop.systemd1.UnitExists", "it is there")}, "UnitExists: it is there"},
		"talks rubbish": {ok, [][]byte{hello, []byte("HTTP/1.1 200 OK\r\n\r\n")}, "what is no message"},
		"says too much": {ok, [][]byte{hello, bytes.Repeat([]byte("l\xff"), 20)}, "what is no message"},
	} {
		b, err := dialBus(serve(t, test.greeting, test.answers...), 1000, time.Second)
		if err == nil {
			err = b.call(scopeCall("a.scope", "work.slice", 1))
			b.close()
		}
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestABusThatHangs(t *testing.T) {
	began := time.Now()
	_, err := dialBus(serve(t, ""), 1000, 50*time.Millisecond)
	if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/user/1/bus":   "/run/user/1/bus",
		"unix:abstract=/tmp/a,guid=1": "@/tmp/a",
		"unix:guid=1,path=/b":         "/b",
		"tcp:host=localhost,port=1":   "",
		"unix:tmpdir=/tmp":            "",
	} {
		if got, err := socketOf(address); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", address, got, err)
		}
	}
	for _, test := range []struct {
		user User
		want string
	}{
		{User{UID: 5, Bus: "x", RuntimeDir: "/r"}, "x"},
		{User{UID: 5, RuntimeDir: "/r"}, "unix:path=/r/bus"},
		{User{UID: 5}, "unix:path=/run/user/5/bus"},
	} {
		if got := test.user.addresses(); got != test.want {
			t.Errorf("%+v: %s", test.user, got)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	f.Add(answer(2, 1, "", ""))
	f.Add(answer(3, 2, "a.b", "text"))
	f.Add([]byte("B\x01\x00\x01\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x08\x08\x01g\x00\x01s\x00\x00abcd"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = readMessage(bytes.NewReader(text))
	})
}

func FuzzReadMounts(f *testing.F) {
	f.Add(v2Mount, "0::/a\n")
	f.Add(v1Mount, v1Self)
	f.Fuzz(func(t *testing.T, mounts, path string) {
		h := hierarchies{root: "/r", legacy: map[string]legacyGroup{}}
		h.readMounts(mounts)
		if dir := h.unifiedDir(path); dir != "" && !strings.HasPrefix(dir, "/r") {
			t.Errorf("%q is outside", dir)
		}
	})
}
