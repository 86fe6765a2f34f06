package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxToken bounds a token server's answer, in bytes.
const maxToken = 1 << 20

// auth answers the registry's question who asks. It is the transport above
// policy: requests to the registry get their Authorization here, and those that
// were redirected elsewhere never do.
type auth struct {
	config Config
	policy *policy
	realms *http.Client // to token servers, straight over policy

	// turn is held by who fetches a token, so that one is fetched for all who
	// find theirs expired. A channel, because waiting for it must end with the
	// request.
	turn chan struct{}

	mu     sync.Mutex
	asked  challenge // the registry's last, empty where it asked nothing
	scopes []string
	mounts []string // scopes that are nice to have
	token  token
	login  Login // with the refresh token that a token server gave
}

// token is what a token server gave.
type token struct {
	text    string
	expires time.Time
}

func newAuth(c Config, p *policy) *auth {
	a := &auth{
		config: c, policy: p, login: c.Login, turn: make(chan struct{}, 1),
		realms: &http.Client{Transport: p, CheckRedirect: checkRealmRedirect},
	}
	if c.Repository != "" {
		a.scopes = []string{repositoryScope(c.Repository, c.Push)}
	}
	return a
}

func repositoryScope(repository string, push bool) string {
	if push {
		return "repository:" + repository + ":pull,push"
	}
	return "repository:" + repository + ":pull"
}

// RoundTrip implements http.RoundTripper. A registry that refuses gets one
// more try, with a token that is new: the old one may have expired.
func (a *auth) RoundTrip(req *http.Request) (*http.Response, error) {
	if !sameHost(req.URL, a.policy.registry) {
		return a.policy.RoundTrip(req) // another host's questions are not answered
	}
	sent, used, err := a.authorized(req)
	if err != nil {
		return nil, err
	}
	resp, err := a.policy.RoundTrip(sent)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	if !a.refused(resp.Header, used) || req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return resp, nil
	}
	drain(resp.Body)
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	if again, _, err = a.authorized(again); err != nil {
		return nil, err
	}
	return a.policy.RoundTrip(again)
}

// authorized is req with what the registry wants to see, and that.
func (a *auth) authorized(req *http.Request) (*http.Request, string, error) {
	header, err := a.header(req.Context())
	if err != nil {
		return nil, "", err
	}
	req = req.Clone(req.Context()) // the caller's must not change
	req.Header.Del("Authorization")
	if header != "" {
		req.Header.Set("Authorization", header)
	}
	return req, header, nil
}

// header is the Authorization of a request that is sent now, empty for none.
func (a *auth) header(ctx context.Context) (string, error) {
	a.mu.Lock()
	asked, login := a.asked, a.login
	a.mu.Unlock()
	switch {
	case login.RegistryToken != "":
		return "Bearer " + login.RegistryToken, nil
	case asked.scheme == "basic" && login.Username != "":
		return basic(login), nil
	case asked.scheme == "bearer":
		text, err := a.bearer(ctx, asked)
		if text == "" || err != nil {
			return "", err
		}
		return "Bearer " + text, nil
	}
	return "", nil
}

func basic(l Login) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(l.Username+":"+l.Password))
}

// refused notes what the registry asked when it refused, and reports whether
// there may be another answer than the one that was used.
func (a *auth) refused(header http.Header, used string) bool {
	asked, ok := challengeOf(header)
	if !ok {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.login.RegistryToken != "" {
		return false
	}
	if used == "Bearer "+a.token.text {
		a.token = token{} // by whoever is first
	}
	a.wants(asked.params["scope"])
	a.asked = asked
	return asked.scheme == "bearer" || used == "" && a.login.Username != ""
}

// wants adds the scope that the registry asked for, if it is no other
// repository's.
func (a *auth) wants(scope string) {
	ours := a.config.Repository != "" && strings.HasPrefix(scope, "repository:"+a.config.Repository+":")
	if (ours || a.config.Repository == "" && scope != "") && !strings.ContainsAny(scope, " \t") && !slices.Contains(a.scopes, scope) && len(a.scopes) < maxScopes {
		a.scopes = append(a.scopes, scope)
	}
}

// maxScopes bounds what a token is asked for.
const maxScopes = 8

// alsoRead has the tokens from here on allow to read another repository, whose
// blobs are to be mounted.
func (a *auth) alsoRead(repository string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	scope := repositoryScope(repository, false)
	if a.asked.scheme != "bearer" || slices.Contains(a.mounts, scope) || len(a.mounts) >= maxScopes {
		return
	}
	a.mounts, a.token = append(a.mounts, scope), token{}
}

// bearer is a token that is good, fetched where there is none.
func (a *auth) bearer(ctx context.Context, asked challenge) (string, error) {
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	a.mu.Lock()
	now, scopes, mounts := a.token, slices.Clone(a.scopes), slices.Clone(a.mounts)
	a.mu.Unlock()
	if now.text != "" && time.Now().Before(now.expires) {
		return now.text, nil
	}
	to, err := a.config.realmOf(asked, a.policy.registry)
	if err != nil {
		return "", err
	}
	fresh, err := a.fetch(ctx, to, append(scopes, mounts...))
	if status := (*StatusError)(nil); len(mounts) > 0 && errors.As(err, &status) {
		fresh, err = a.fetch(ctx, to, scopes) // it gives all or nothing
	}
	if err != nil {
		return "", a.refusedBy(to, err)
	}
	a.policy.secrets.add(fresh.text)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token = fresh
	return fresh.text, nil
}

// refusedBy says who refused, and that it was not shown the login where it was
// not.
func (a *auth) refusedBy(to realm, err error) error {
	var status *StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("token server %s: %w", limit(to.url.Host, 100), rootCause(err))
	}
	told := *status
	told.reason = fmt.Sprintf("token server %s: %s", limit(to.url.Host, 100), status.reason)
	if !to.trusted && a.config.Login != (Login{}) {
		told.reason += fmt.Sprintf(" (it is not on the domain of %s, and was not shown the login)", a.config.Host)
	}
	return &told
}

// fetch asks a token server: by OAuth 2 where we have a refresh token, or else
// by the request that all of them know (distribution's token specification).
func (a *auth) fetch(ctx context.Context, to realm, scopes []string) (token, error) {
	login := Login{}
	if to.trusted {
		a.mu.Lock()
		login = a.login
		a.mu.Unlock()
		a.policy.trustRealm(to.url.Host)
	}
	if login.IdentityToken != "" {
		fresh, err := a.ask(ctx, oauthRequest(to, login, scopes))
		var status *StatusError
		if !errors.As(err, &status) || status.Status != http.StatusNotFound || login.Username == "" {
			return fresh, err
		}
	}
	return a.ask(ctx, plainRequest(to, login, scopes))
}

func plainRequest(to realm, login Login, scopes []string) *http.Request {
	u := *to.url
	query := u.Query()
	if to.service != "" {
		query.Set("service", to.service)
	}
	for _, scope := range scopes {
		query.Add("scope", scope)
	}
	req := &http.Request{Method: http.MethodGet, URL: &u, Header: http.Header{}}
	if login.Username != "" {
		query.Set("account", login.Username)
		req.Header.Set("Authorization", basic(login))
	}
	u.RawQuery = query.Encode()
	return req
}

func oauthRequest(to realm, login Login, scopes []string) *http.Request {
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {login.IdentityToken}, "client_id": {userAgent},
		"service": {to.service}, "scope": {strings.Join(scopes, " ")},
	}.Encode()
	body := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(form)), nil }
	reader, _ := body()
	return &http.Request{
		Method: http.MethodPost, URL: to.url, Body: reader, GetBody: body, ContentLength: int64(len(form)),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
}

// ask sends a request for a token and reads the answer.
func (a *auth) ask(ctx context.Context, req *http.Request) (token, error) {
	asked := time.Now()
	resp, err := a.realms.Do(req.WithContext(ctx))
	if err != nil {
		return token{}, err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return token{}, a.policy.refusal(resp)
	}
	var answer struct {
		Token        string `json:"token"`
		AccessToken  string `json:"access_token"` // OAuth 2's name for it
		RefreshToken string `json:"refresh_token"`
		ExpiresIn    int    `json:"expires_in"`
	}
	body, err := readLimited(resp.Body, maxToken, errTokenTooLarge)
	if err != nil {
		return token{}, err
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return token{}, errNoToken // the cause would quote a part of it
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return token{}, errNoToken
	}
	if answer.RefreshToken != "" && req.Method == http.MethodPost {
		a.policy.secrets.add(answer.RefreshToken)
		a.mu.Lock()
		a.login.IdentityToken = answer.RefreshToken
		a.mu.Unlock()
	}
	return token{text: answer.Token, expires: asked.Add(lifetime(answer.ExpiresIn))}, nil
}

// lifetime is what a token is used for: at least a minute, as the specification
// has it where the server does not say, and a little less than it says.
func lifetime(seconds int) time.Duration {
	const least, early, most = 60, 10, 24 * 3600
	return time.Duration(min(max(seconds, least), most)-early) * time.Second
}

// checkRealmRedirect keeps a login on the host that it is for: net/http strips
// headers only between domains, and never bodies.
func checkRealmRedirect(req *http.Request, via []*http.Request) error {
	if err := checkRedirect(req, via); err != nil {
		return err
	}
	if sameHost(req.URL, via[0].URL.Host) && req.URL.Scheme == via[0].URL.Scheme {
		return nil
	}
	if req.Method != http.MethodGet {
		return fmt.Errorf("the token server redirects to %s, which is not shown the login", limit(req.URL.Host, 100))
	}
	req.Header.Del("Authorization")
	return nil
}
