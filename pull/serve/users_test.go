package serve_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"rootlet/pull/serve"
)

func hash(t *testing.T, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(h), "$2a$", "$2y$", 1) // as htpasswd writes it
}

func TestUsers(t *testing.T) {
	users, err := serve.ParseUsers([]byte("# who may\n\nalice:" + hash(t, "secret", 4) + "\nbob:" + hash(t, "other", 4) + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var logged []string
	log := func(e serve.Entry) { logged = append(logged, fmt.Sprint(e.User, " ", e.Status)) }
	overEach(t, serve.Options{Users: users, Log: log}, func(c *client) {
		get := func(login ...string) answer {
			r := []string{}
			if len(login) == 2 {
				request, _ := http.NewRequest("GET", "/", nil)
				request.SetBasicAuth(login[0], login[1])
				r = []string{"Authorization", request.Header.Get("Authorization")}
			}
			return c.do("GET", "/v2/", nil, r...)
		}
		get().is(http.StatusUnauthorized).has("WWW-Authenticate", `Basic realm="rootlet registry", charset="UTF-8"`).says("UNAUTHORIZED")
		for _, wrong := range [][]string{{"alice", "other"}, {"alice", ""}, {"nobody", "secret"}, {"", ""}, {"alice", strings.Repeat("x", 100)}, {"alice:secret", ""}} {
			get(wrong...).is(http.StatusUnauthorized).says("UNAUTHORIZED")
		}
		for range 2 { // the second time from memory
			get("alice", "secret").is(http.StatusOK)
			get("bob", "other").is(http.StatusOK)
			get("alice", "other").is(http.StatusUnauthorized)
		}
		c.do("GET", "/v2/x/blobs/"+digest(nil), nil).is(http.StatusUnauthorized)
		c.do("GET", "/v2/", nil, "Authorization", "Bearer alice").is(http.StatusUnauthorized)
	})
	if len(logged) == 0 || logged[0] != " 401" || !strings.Contains(strings.Join(logged, ","), "alice 200") {
		t.Errorf("logged: %q", logged)
	}
}

// A login that was right once must not cost a hash for each blob of a push.
func TestAUserIsHashedOnce(t *testing.T) {
	users, err := serve.ParseUsers([]byte("alice:" + hash(t, "secret", 11)))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, storages(t)["folder"], serve.Options{Users: users})
	began := time.Now()
	for range 200 {
		c.do("GET", "/v2/", nil, "Authorization", "Basic YWxpY2U6c2VjcmV0").is(http.StatusOK)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("200 requests took %s", took)
	}
}

func TestPasswordFilesThatAreRefused(t *testing.T) {
	for what, text := range map[string]string{
		"empty":        "",
		"comments":     "# nobody\n",
		"plain":        "alice:secret",
		"MD5":          "alice:$apr1$abcdefgh$0123456789012345678901",
		"SHA-1":        "alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
		"no name":      ":$2y$05$" + strings.Repeat("a", 53),
		"no hash":      "alice",
		"cost":         "alice:$2y$20$" + strings.Repeat("a", 53),
		"cost of none": "alice:$2y$00$" + strings.Repeat("a", 53),
		"long line":    "alice:" + strings.Repeat("a", 100<<10),
	} {
		if _, err := serve.ParseUsers([]byte(text)); err == nil {
			t.Errorf("%s: no error", what)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", what, err)
		}
	}
}
