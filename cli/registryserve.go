package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"rootlet/pull/serve"
	"rootlet/pull/serve/folder"
	"rootlet/sandbox"
)

// registryServeCmd is `rootlet registry serve`.
type registryServeCmd struct {
	Folder       string `arg:"" name:"dir" optional:"" help:"Folder to serve, instead of your own images. It is made where it is missing."`
	Addr         string `name:"addr" default:"127.0.0.1:5000" placeholder:"HOST:PORT" help:"Where to listen; port 0 for one that is free."`
	HTPasswd     string `name:"htpasswd" placeholder:"FILE" help:"Let in only users of this file, which htpasswd -B writes."`
	InsecureOpen bool   `name:"insecure-open" help:"Serve others than this host, and ask for no password."`
	Quiet        bool   `name:"quiet" short:"q" help:"Log no requests, and no notices."`
	ReadOnly     bool   `name:"read-only" help:"Let nobody change anything."`
	TLSCert      string `name:"tls-cert" placeholder:"FILE" help:"Certificate, with those that it is signed by (PEM)."`
	TLSKey       string `name:"tls-key" placeholder:"FILE" help:"Its key (PEM)."`
}

// registryPath is the command's name, for those of its errors that are usage.
const registryPath = "rootlet registry serve"

// Run listens, prints where, and serves until a signal ends it.
func (c *registryServeCmd) Run(a *app) error {
	a.quiet = c.Quiet
	address, err := c.address()
	if err != nil {
		return err
	}
	options := serve.Options{ReadOnly: c.ReadOnly}
	if !c.Quiet {
		options.Log = a.logRequest
	}
	if options.Users, err = c.users(); err != nil {
		return err
	}
	certificate, err := c.certificate()
	if err != nil {
		return err
	}
	if !address.IP.IsLoopback() && certificate == nil {
		a.notice("images and passwords cross the network unencrypted: see --tls-cert and --tls-key")
	}
	listener, err := net.ListenTCP("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Addr, err)
	}
	defer listener.Close()
	storage, kept, err := c.storage(a, listener.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a.endBySignal(cancel)
	if !c.ReadOnly {
		go kept.SweepEvery(ctx, func(err error) { a.notice(fmt.Sprintf("sweep %s: %v", c.Folder, err)) })
	}
	fmt.Fprintln(a.stdout, listener.Addr())
	return serve.Run(ctx, listener, serve.New(storage, options), certificate)
}

// endBySignal calls end at the first signal that asks for it; at the second the
// process is ended.
func (a *app) endBySignal(end func()) {
	a.catchSignals()
	go func() {
		asked := false
		for s := range a.signals {
			if !sandbox.EndsWork(s) {
				continue
			}
			if asked {
				os.Exit(ExitError)
			}
			asked = true
			end()
		}
	}()
}

// address is where to listen: this host only, unless those who may come are
// named or it is said that all may.
func (c *registryServeCmd) address() (*net.TCPAddr, error) {
	address, err := net.ResolveTCPAddr("tcp", c.Addr)
	if err != nil {
		return nil, usage(registryPath, "--addr %q: %v", c.Addr, err)
	}
	if !address.IP.IsLoopback() && c.HTPasswd == "" && !c.InsecureOpen {
		return nil, usage(registryPath, "--addr %s can be reached by others: name who may with --htpasswd, or let all with --insecure-open", c.Addr)
	}
	return address, nil
}

func (c *registryServeCmd) users() (*serve.Users, error) {
	if c.HTPasswd == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.HTPasswd)
	if err != nil {
		return nil, fmt.Errorf("--htpasswd: %w", err)
	}
	users, err := serve.ParseUsers(text)
	if err != nil {
		return nil, fmt.Errorf("--htpasswd %s: %w", c.HTPasswd, err)
	}
	return users, nil
}

func (c *registryServeCmd) certificate() (*tls.Certificate, error) {
	if c.TLSCert == "" && c.TLSKey == "" {
		return nil, nil
	}
	if c.TLSCert == "" || c.TLSKey == "" {
		return nil, usage(registryPath, "--tls-cert and --tls-key belong together")
	}
	certificate, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", c.TLSCert, c.TLSKey, err)
	}
	return &certificate, nil
}

// storage is the folder, or the user's images with a folder of their own for
// what is pushed.
func (c *registryServeCmd) storage(a *app, port int) (serve.Storage, *folder.Folder, error) {
	if c.Folder == "" {
		return ownImages(a, port, c)
	}
	if c.ReadOnly {
		if _, err := os.Stat(filepath.Join(c.Folder, "version")); errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("%s is no registry's folder, and --read-only makes none", c.Folder)
		}
	}
	kept, err := folder.Open(c.Folder)
	return kept, kept, err
}

// logRequest prints a line for a request.
func (a *app) logRequest(e serve.Entry) {
	client, _, err := net.SplitHostPort(e.Client)
	if err != nil {
		client = e.Client
	}
	if e.User != "" {
		client = e.User + "@" + client
	}
	text := fmt.Sprintf("%s %s %s %s %d %d %s", time.Now().UTC().Format(time.RFC3339), client, e.Method, e.Path, e.Status, e.Bytes, e.Took.Round(time.Millisecond/10))
	if e.Err != nil && e.Status >= http.StatusInternalServerError {
		text += ": " + e.Err.Error()
	}
	a.line("", text)
}
