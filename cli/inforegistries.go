package cli

import (
	"strings"

	"rootlet/pull/registries"
)

// indexConfig is what Docker calls what it knows of a registry; Blocked and
// Location are rootlet's.
type indexConfig struct {
	Name             string
	Mirrors          []string
	Secure, Official bool
	Blocked          bool
	Location         string
}

// settingFiles are the files that were read for what the user and the host have
// set up.
type settingFiles struct {
	Config      string // the user's config.toml, empty where there is none
	Registries  []string
	Credentials []string
	Certs       []string // directories
}

// addSettings says what was set up about registries, and by which files.
func (i *hostInfo) addSettings(a *app) {
	i.SettingFiles = settingFiles{Config: a.config.path, Registries: []string{}, Credentials: []string{}, Certs: []string{}}
	if a.configErr != nil {
		i.warn(a.configErr)
	}
	i.RegistryConfig.IndexConfigs = map[string]indexConfig{}
	settings, err := a.registries("")
	if err != nil {
		i.warn(err) // what else was set up is shown all the same
	}
	d := settings.Describe()
	i.SettingFiles.Registries = append(i.SettingFiles.Registries, d.Files...)
	i.SettingFiles.Credentials = append(i.SettingFiles.Credentials, d.AuthFiles...)
	i.SettingFiles.Certs = append(i.SettingFiles.Certs, d.CertDirs...)
	for _, r := range d.Registries {
		i.addRegistry(r)
	}
	for _, said := range a.config.InsecureRegistries {
		if strings.Contains(said, "/") {
			i.RegistryConfig.InsecureRegistryCIDRs = append(i.RegistryConfig.InsecureRegistryCIDRs, said)
		} else {
			i.RegistryConfig.IndexConfigs[said] = indexConfig{Name: said, Mirrors: []string{}, Location: said}
		}
	}
}

func (i *hostInfo) addRegistry(r registries.Registry) {
	const hub = "docker.io"
	if r.Prefix == hub {
		i.RegistryConfig.Mirrors = r.Mirrors
	}
	i.RegistryConfig.IndexConfigs[r.Prefix] = indexConfig{
		Name: r.Prefix, Mirrors: r.Mirrors, Secure: !r.Insecure, Official: r.Prefix == hub, Blocked: r.Blocked, Location: r.Location,
	}
}

// printSettings writes which files were read.
func (i *hostInfo) printSettings(t *text) {
	f := i.SettingFiles
	t.line("Configuration", f.Config)
	for _, group := range []struct {
		title string
		paths []string
	}{
		{"Registries Configuration", f.Registries},
		{"Credentials", f.Credentials},
		{"Certificates", f.Certs},
	} {
		t.line(group.title, "")
		for _, path := range group.paths {
			t.item(path)
		}
	}
}
