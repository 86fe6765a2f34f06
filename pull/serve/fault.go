package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"syscall"
)

// Codes of the specification, "Error Codes", and UNKNOWN and
// PAGINATION_NUMBER_INVALID, which are Docker's.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeUploadInvalid       = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown       = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeSizeInvalid         = "SIZE_INVALID"
	codeUnauthorized        = "UNAUTHORIZED"
	codeDenied              = "DENIED"
	codeUnsupported         = "UNSUPPORTED"
	codePage                = "PAGINATION_NUMBER_INVALID"
	codeUnknown             = "UNKNOWN"
)

// fault is an answer that says no.
type fault struct {
	status  int
	code    string
	message string
	detail  any
}

func (f *fault) Error() string { return f.code + ": " + f.message }

func faultf(status int, code, format string, args ...any) *fault {
	return &fault{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// explain turns an error of a storage or of a connection into an answer. missing
// is what ErrNotThere means here.
func explain(err error, missing *fault) *fault {
	var (
		f        *fault
		readOnly *ReadOnly
		absent   *MissingError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, ErrNoRepository):
		return faultf(http.StatusNotFound, codeNameUnknown, "no such repository")
	case errors.Is(err, ErrNotKept):
		return faultf(http.StatusNotFound, codeBlobUnknown, "%v", ErrNotKept)
	case errors.Is(err, ErrNotThere):
		return missing
	case errors.Is(err, ErrDigest):
		return faultf(http.StatusBadRequest, codeDigestInvalid, "%v", err)
	case errors.Is(err, ErrBusy):
		return faultf(http.StatusConflict, codeUploadInvalid, "%v", err)
	case errors.As(err, &readOnly):
		return faultf(http.StatusMethodNotAllowed, codeUnsupported, "%s", readOnly.Why)
	case errors.As(err, &absent):
		f := faultf(http.StatusBadRequest, codeManifestBlobUnknown, "%v", absent)
		f.detail = absent.Digests
		return f
	case errors.As(err, &tooLarge):
		return faultf(http.StatusRequestEntityTooLarge, codeManifestInvalid, "a manifest may have %d bytes", tooLarge.Limit)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return faultf(http.StatusInsufficientStorage, codeUnknown, "the registry has no room left")
	}
	// Where files are is nobody's business but the log's.
	return &fault{http.StatusInternalServerError, codeUnknown, "the registry cannot do this now; its log says why", nil}
}

// write sends the answer in the form of the specification, "Error Codes".
func (f *fault) write(w http.ResponseWriter) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	body, err := json.Marshal(map[string][]entry{"errors": {{f.code, f.message, f.detail}}})
	if err != nil {
		body = []byte(`{"errors":[]}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.status)
	_, _ = w.Write(body)
}
