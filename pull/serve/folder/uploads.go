package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rootlet/pull/grammar"
	"rootlet/pull/serve"
)

// progress is the hash of an upload's first bytes, kept between two requests. A
// server that was started anew has none and reads the file again.
type progress struct {
	hash hash.Hash
	size int64 // hashed, which is less than written where a write failed in its middle
}

func (p *progress) Write(b []byte) (int, error) {
	p.size += int64(len(b))
	return p.hash.Write(b)
}

// upload is a file that grows. Its lock is held while it is open.
type upload struct {
	f    *Folder
	file *os.File
	name string // of the file
	id   string
	size int64

	repository string
	gone       bool
}

func isUploadID(s string) bool { return len(s) == 32 && grammar.IsHex(s) }

// uploadName binds an upload to its repository.
func uploadName(repository, id string) string {
	sum := sha256.Sum256([]byte(repository))
	return id + "-" + hex.EncodeToString(sum[:8])
}

// Begin makes an upload. Its id cannot be guessed: whoever knows it may write.
func (f *Folder) Begin(repository string) (serve.Upload, error) {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails, its doc says
	return f.openUpload(repository, hex.EncodeToString(random[:]), os.O_CREATE|os.O_EXCL)
}

// Upload finds one.
func (f *Folder) Upload(repository, id string) (serve.Upload, error) {
	if !isUploadID(id) {
		return nil, serve.ErrNotThere
	}
	return f.openUpload(repository, id, 0)
}

// busyTime is for how long a request waits for the one before it, whose client
// may have gone away without a word.
const busyTime = 3 * time.Second

func (f *Folder) openUpload(repository, id string, flags int) (*upload, error) {
	u := &upload{f: f, name: uploadName(repository, id), id: id, repository: repository}
	var err error
	if u.file, err = os.OpenFile(f.path("uploads", u.name), os.O_RDWR|os.O_APPEND|flags, 0o600); err != nil {
		return nil, there(err)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err = unix.Flock(int(u.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) && time.Since(began) < busyTime {
			continue
		}
		break
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = serve.ErrBusy
	}
	var info os.FileInfo
	if err == nil {
		info, err = u.file.Stat()
	}
	if err == nil && flags == 0 && !f.has(filepath.Join("uploads", u.name)) {
		err = serve.ErrNotThere // committed or cancelled while we waited
	}
	if err != nil {
		u.file.Close()
		return nil, err
	}
	u.size = info.Size()
	return u, nil
}

func (u *upload) ID() string   { return u.id }
func (u *upload) Size() int64  { return u.size }
func (u *upload) Close() error { return u.file.Close() }

// fullTime is for how long what breaks off is not kept, after there was no room:
// who is told so gives up his other uploads.
const fullTime = 10 * time.Second

// Append adds what r has. Where there is no room the upload is taken away, as its
// client can do nothing with it and others can with the room; so is one that breaks
// off meanwhile.
func (u *upload) Append(r io.Reader) error {
	state := u.takeProgress()
	to := io.Writer(u.file)
	if state != nil {
		to = io.MultiWriter(u.file, state)
		defer u.keepProgress(state)
	}
	// The wrapping hides the file's ReadFrom, which would bring a smaller buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{to}, r, make([]byte, 256<<10))
	u.size += n
	return u.unlessFull(err)
}

// unlessFull takes the upload away after an error that there is no room, or that
// may follow from one.
func (u *upload) unlessFull(err error) error {
	if err == nil || !u.f.isFull(err) {
		return err
	}
	return errors.Join(err, u.Cancel())
}

// isFull hears of an error, and says whether there is no room, now or a moment ago.
// What clients have left and nobody goes on with makes room for the next one.
func (f *Folder) isFull(err error) bool {
	now := time.Now()
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		_ = f.sweepUploads(olderThan(idle, now)) // what is left goes with its day
		f.mu.Lock()
		defer f.mu.Unlock()
		f.full = now
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Sub(f.full) < fullTime
}

// takeProgress finds the hash of what is there, if somebody has it, and nobody
// else finds it after.
func (u *upload) takeProgress() *progress {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	state := u.f.hashing[u.name]
	delete(u.f.hashing, u.name)
	if state == nil && u.size == 0 {
		return &progress{hash: sha256.New()}
	}
	if state == nil || state.size != u.size {
		return nil
	}
	return state
}

func (u *upload) keepProgress(state *progress) {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	if !u.gone {
		u.f.hashing[u.name] = state
	}
}

// digest is that of the whole file.
func (u *upload) digest(like serve.Digest) (serve.Digest, error) {
	if state := u.takeProgress(); state != nil && like.Algorithm() == "sha256" {
		return serve.Sum("sha256", state.hash), nil
	}
	h := like.New()
	if _, err := io.Copy(h, io.NewSectionReader(u.file, 0, u.size)); err != nil {
		return "", err
	}
	return serve.Sum(like.Algorithm(), h), nil
}

// Commit gives the file its place among the blobs.
func (u *upload) Commit(want serve.Digest) error {
	got, err := u.digest(want)
	if err != nil {
		return err
	}
	if got != want {
		return errors.Join(serve.ErrDigest, u.Cancel())
	}
	return u.unlessFull(u.commit(want))
}

func (u *upload) commit(want serve.Digest) error {
	if err := u.file.Sync(); err != nil { // before the lock, which others wait for
		return err
	}
	release, err := u.f.lock(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer release()
	if u.f.has(blobPath(want)) {
		if err := u.Cancel(); err != nil {
			return err
		}
	} else if err := u.f.place(u.file, blobPath(want)); err != nil {
		return err
	}
	u.gone = true
	return u.f.put(mark(u.repository, "_blobs", want), nil)
}

// Cancel takes the upload away.
func (u *upload) Cancel() error {
	if u.gone {
		return nil
	}
	u.takeProgress()
	u.gone = true
	return os.Remove(u.file.Name())
}
