package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// TLS is what certs.d holds for a host, in PEM form.
type TLS struct {
	CAs  [][]byte  `json:"cas,omitempty"`  // trusted besides those of the system
	Keys []KeyPair `json:"keys,omitempty"` // by which we say who we are
}

// KeyPair is a client certificate.
type KeyPair struct {
	Certificate []byte `json:"certificate"`
	Key         []byte `json:"key"`
}

// tlsConfig is how a registry is spoken to.
func (c Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{InsecureSkipVerify: c.Insecure} //nolint:gosec // the user's --tls-verify=false
	for _, pair := range c.TLS.Keys {
		certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
		if err != nil {
			return nil, fmt.Errorf("client certificate for %s: %w", c.Host, err)
		}
		t.Certificates = append(t.Certificates, certificate)
	}
	if len(c.TLS.CAs) == 0 {
		return t, nil
	}
	var err error
	if t.RootCAs, err = x509.SystemCertPool(); err != nil {
		t.RootCAs = x509.NewCertPool() // a system without any
	}
	for _, pem := range c.TLS.CAs {
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("certificate authority for " + c.Host + ": no certificate in it")
		}
	}
	return t, nil
}
