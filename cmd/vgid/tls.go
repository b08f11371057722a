package main

import (
	"vgid/collective/mtls"
	"vgid/launch"
	"vgid/vgid/config"
)

// identity reads what this worker proves itself with: the files of the configuration, else
// what its launcher gave it; nil where there is neither, and workers speak plain text.
func identity(given launch.TLS, c config.TLS) (*mtls.Identity, error) {
	type source struct{ name, value string }
	read, from := mtls.File, [3]source{{"collective.tls.ca", c.CA}, {"collective.tls.cert", c.Cert}, {"collective.tls.key", c.Key}}
	switch {
	case c != (config.TLS{}):
	case given.Given():
		read, from = mtls.Text, [3]source{{launch.EnvTLSCA, given.CA}, {launch.EnvTLSCert, given.Cert}, {launch.EnvTLSKey, given.Key}}
	default:
		return nil, nil
	}
	var parts [3]mtls.Part
	for i, s := range from {
		var err error
		if parts[i], err = read(s.name, s.value); err != nil {
			return nil, err
		}
	}
	return mtls.New(parts[0], parts[1], parts[2])
}
