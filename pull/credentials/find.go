package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"rootlet/pull/registry"
)

// Set is the files that count for a user, first to last.
type Set struct {
	Files []string
	Warn  func(string) // told what the user should know; may be nil
}

// Of is the set that the user's variables name, or the one file that he names
// himself.
func Of(getenv func(string) string, authFile string) *Set {
	if authFile != "" {
		return &Set{Files: []string{authFile}}
	}
	return &Set{Files: Paths(getenv)}
}

// Find returns the login for a repository, from the first file that has one or
// names a helper that does. The zero Login is none. An empty repository asks for
// the host's.
func (s *Set) Find(ctx context.Context, host, repository string) (registry.Login, error) {
	for _, path := range s.Files {
		f, info, err := read(path)
		if err != nil {
			return registry.Login{}, err
		}
		login, err := s.fromHelpers(ctx, f, host)
		if err != nil {
			return login, err
		}
		if login != (registry.Login{}) {
			return login, nil
		}
		if login, err = f.inline(host, repository); err != nil {
			return login, err
		}
		if login != (registry.Login{}) {
			return login, s.checkMode(path, info)
		}
	}
	return registry.Login{}, nil
}

// fromHelpers asks the helpers that a file names for the host. A general one that
// is not installed is passed over where it never kept anything for that host, as
// after Docker Desktop was removed: all that is public can be had without it.
func (s *Set) fromHelpers(ctx context.Context, f *file, host string) (registry.Login, error) {
	if helper := f.helpers[host]; helper != "" {
		login, err := ask(ctx, helper, host)
		if err != nil {
			err = fmt.Errorf("credentials for %s, by %s: %w", host, f.path, err)
		}
		return login, err
	}
	if f.store == "" {
		return registry.Login{}, nil
	}
	login, err := ask(ctx, f.store, host)
	var missing *missingError
	if _, kept := f.auths[host]; errors.As(err, &missing) && !kept {
		s.warn(fmt.Sprintf("%s names a credential helper, but %v", f.path, err))
		return login, nil
	}
	if err != nil {
		err = fmt.Errorf("credentials for %s, by %s: %w", host, f.path, err)
	}
	return login, err
}

// checkMode looks at a file whose login is about to be used. What others can
// write may send that login, or what is pushed with it, somewhere else.
func (s *Set) checkMode(path string, info fs.FileInfo) error {
	switch mode := info.Mode().Perm(); {
	case writableByOthers(info):
		return &looseError{path}
	case mode&0o077 != 0:
		s.warn(fmt.Sprintf("the credentials in %s can be read by others: chmod 600 %s", path, path))
	}
	return nil
}

// writableByOthers allows for a group that is the user's own, which has his
// number where each user has one.
func writableByOthers(info fs.FileInfo) bool {
	mode := info.Mode().Perm()
	st, ok := info.Sys().(*syscall.Stat_t)
	return mode&0o002 != 0 || mode&0o020 != 0 && (!ok || st.Uid != st.Gid)
}

func (s *Set) warn(text string) {
	if s.Warn != nil {
		s.Warn(text)
	}
}

// looseError is a file that others can write.
type looseError struct{ path string }

func (e *looseError) Error() string {
	return "the credentials in " + e.path + " can be changed by others, and are not used"
}

// Hint is what mends it.
func (e *looseError) Hint() string { return "chmod 600 " + e.path }
