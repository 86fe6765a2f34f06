package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Download opens what stands at an http or https URL, of a server that is no
// registry, under the rules for one: the same patience and retries until it
// answers, and no way to what its like must not lead to. A URL's own user and
// password go to its host alone. Plain http is as the user wrote it, and is not
// led to from https.
func Download(ctx context.Context, location string, proxy Proxy) (io.ReadCloser, error) {
	u, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is no http or https URL", u.Redacted())
	}
	p, err := newPolicy(Config{Host: u.Host, Insecure: u.Scheme == "http", Proxy: proxy}.withDefaults(), u.Host)
	if err != nil {
		return nil, err
	}
	if secret, ok := u.User.Password(); ok {
		p.secrets.add(secret)
	}
	client := &http.Client{Transport: p, CheckRedirect: checkRedirect}
	resp, err := client.Do((&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}).WithContext(ctx))
	if err != nil {
		p.close()
		return nil, ofServer(p.explain(err))
	}
	if resp.StatusCode != http.StatusOK {
		drain(resp.Body)
		p.close()
		return nil, fmt.Errorf("the server answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return &downloaded{resp.Body, p}, nil
}

// ofServer is an error of Download's, whose servers no setting allows to speak http:
// the URL does.
func ofServer(err error) error {
	var network *NetworkError
	if errors.As(err, &network) {
		network.Server, network.PlainHTTP = true, false
	}
	return err
}

// downloaded is an answer's body, and whose it is.
type downloaded struct {
	io.ReadCloser
	policy *policy
}

// Close implements io.Closer.
func (d *downloaded) Close() error {
	defer d.policy.close()
	return d.ReadCloser.Close()
}
