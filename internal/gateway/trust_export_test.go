package gateway

// TrustsSocketForTest says whether peers of the unix socket are trusted proxies.
func TrustsSocketForTest(c Config) (bool, error) {
	p, err := c.plan(shell{})
	if err != nil {
		return false, err
	}
	return p.trusted.Unix, nil
}
