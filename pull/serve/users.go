package serve

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Users are those of a password file, in the form of htpasswd -B. Each of them
// may do everything.
type Users struct {
	hashes map[string][]byte
	nobody []byte        // checked where the name is wrong, so that the time taken does not say so
	turns  chan struct{} // a check takes a core for a while: no more at once than there are

	mu    sync.Mutex
	key   []byte
	known map[[sha256.Size]byte]bool // logins that were right, by their MAC
}

// bcryptHash is what htpasswd -B writes: a cost from 4 to 31, 22 characters of
// salt and 31 of hash.
var bcryptHash = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$`) })

// mostCost is where checking one password takes a core about a second.
const mostCost = 14

// ParseUsers reads a password file. Other hashes than bcrypt's are refused: the
// others that htpasswd knows are guessed by the billion.
func ParseUsers(text []byte) (*Users, error) {
	u := &Users{hashes: map[string][]byte{}, turns: make(chan struct{}, runtime.NumCPU()), known: map[[sha256.Size]byte]bool{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		if name == "" || !bcryptHash().MatchString(hash) {
			return nil, fmt.Errorf("line %d: not NAME:HASH with a bcrypt hash ($2y$...), as `htpasswd -B` writes it", number)
		}
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || cost > mostCost {
			return nil, fmt.Errorf("line %d: a cost of %d, where %d is the most", number, cost, mostCost)
		}
		u.hashes[name] = []byte(hash)
		u.nobody = []byte(hash)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(u.hashes) == 0 {
		return nil, fmt.Errorf("has no users")
	}
	u.key = make([]byte, sha256.Size)
	_, _ = rand.Read(u.key) // never fails, its doc says
	return u, nil
}

// admit lets in who has a name and its password (RFC 7617).
func (u *Users) admit(w http.ResponseWriter, r *http.Request) (name string, err error) {
	name, password, given := r.BasicAuth()
	if given && u.right(name, password) {
		return name, nil
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="rootlet registry", charset="UTF-8"`)
	why := "a name and a password are needed"
	if given {
		why = "wrong name or password"
	}
	return "", faultf(http.StatusUnauthorized, codeUnauthorized, "%s", why)
}

func (u *Users) right(name, password string) bool {
	if len(password) > 72 { // all that bcrypt looks at
		return false
	}
	mac := hmac.New(sha256.New, u.key)
	fmt.Fprintf(mac, "%d:%s:%s", len(name), name, password)
	sum := [sha256.Size]byte(mac.Sum(nil))
	u.mu.Lock()
	known := u.known[sum]
	u.mu.Unlock()
	if known {
		return true
	}
	hash, there := u.hashes[name]
	if !there {
		hash = u.nobody
	}
	u.turns <- struct{}{}
	err := bcrypt.CompareHashAndPassword(hash, []byte(password))
	<-u.turns
	if !there || err != nil {
		return false
	}
	u.mu.Lock()
	u.known[sum] = true // at most one a user
	u.mu.Unlock()
	return true
}
