package serve_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rootlet/pull/serve"
	"rootlet/pull/serve/folder"
)

// FuzzRange asks for a blob with any Range there may be: what comes is the part
// that the answer says it is, all of it, or nothing.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=5-", "bytes=-5", "bytes=1-2,4-5", "bytes=9-1", "bytes=99999999999999999999-", "bytes=", "bits=0-1", "bytes= 0 - 1 ", "bytes=-0", "bytes=0-,0-,0-,0-"} {
		f.Add(s)
	}
	content := bytes.Repeat([]byte("0123456789"), 50)
	kept, err := folder.Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	handler := serve.New(kept, serve.Options{})
	path := "/v2/x/blobs/" + digest(content)
	push := httptest.NewRequest("POST", "http://localhost/v2/x/blobs/uploads/?digest="+digest(content), bytes.NewReader(content))
	handler.ServeHTTP(httptest.NewRecorder(), push)
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "http://localhost"+path, nil)
		r.Header.Set("Range", header)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		body := w.Body.Bytes()
		switch w.Code {
		case http.StatusOK:
			if !bytes.Equal(body, content) {
				t.Errorf("%q: 200 with %d bytes", header, len(body))
			}
		case http.StatusPartialContent:
			if strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/byteranges") {
				return
			}
			var first, last, size int
			if n, err := fmt.Sscanf(w.Header().Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); n != 3 || size != len(content) {
				t.Fatalf("%q: Content-Range %q: %v", header, w.Header().Get("Content-Range"), err)
			}
			if !bytes.Equal(body, content[first:last+1]) {
				t.Errorf("%q: %q is not %d-%d", header, body, first, last)
			}
		case http.StatusRequestedRangeNotSatisfiable:
			if bytes.Contains(body, content[:20]) {
				t.Errorf("%q: 416 with content", header)
			}
		default:
			t.Errorf("%q: %d", header, w.Code)
		}
	})
}
