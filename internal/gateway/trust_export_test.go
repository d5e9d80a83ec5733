package gateway

import "github.com/sallyport-auth/sallyport/internal/secret"

// TrustsSocketForTest says whether peers of the unix socket are trusted proxies.
func TrustsSocketForTest(c Config) (bool, error) {
	p, err := c.plan(shell{})
	if err != nil {
		return false, err
	}
	return p.trusted.Unix, nil
}

// HasherForTest is a hasher that nothing adopts: it counts its refusals in the state.
func (s *State) HasherForTest(o secret.HasherOptions) *secret.Hasher { return s.newHasher(o) }
