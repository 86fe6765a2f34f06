package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/bcrypt"
)

// serving is `serving ARG...`: starts `rootlet registry serve` with these
// arguments on a free port; $REG is its address, and its log is the file
// serve.log. It is what background starts, for signal and awaits.
func serving(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	log, err := os.Create(ts.MkAbs("serve.log"))
	ts.Check(err)
	defer log.Close()
	r, w, err := os.Pipe()
	ts.Check(err)
	defer r.Close()
	s.child = exec.Command(rootlet, append([]string{"registry", "serve", "--addr", "127.0.0.1:0"}, args...)...)
	s.child.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "XDG_RUNTIME_DIR", "USER"} {
		s.child.Env = append(s.child.Env, name+"="+ts.Getenv(name))
	}
	s.child.Stdout, s.child.Stderr = w, log
	s.stdout.Reset()
	s.stderr.Reset()
	err = s.child.Start()
	w.Close()
	ts.Check(err)
	line := make([]byte, 100)
	ts.Check(r.SetReadDeadline(time.Now().Add(patience)))
	n, err := r.Read(line)
	ts.Check(err)
	ts.Setenv("REG", strings.TrimSpace(string(line[:n])))
}

// htpasswd is `htpasswd FILE USER PASSWORD`: a file with this one user.
func htpasswd(ts *testscript.TestScript, neg bool, args []string) {
	hash, err := bcrypt.GenerateFromPassword([]byte(args[2]), bcrypt.MinCost)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[1]+":"+string(hash)+"\n"), 0o600))
}

// certificate is `certificate DIR`: ca.crt, and cert.pem with key.pem for
// 127.0.0.1, which it has signed.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	caBytes, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	ts.Check(err)
	leafBytes, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	ts.Check(err)
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	for name, block := range map[string]*pem.Block{
		"ca.crt":   {Type: "CERTIFICATE", Bytes: caBytes},
		"cert.pem": {Type: "CERTIFICATE", Bytes: leafBytes},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: keyBytes},
	} {
		ts.Check(os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}
