package gateway

import (
	"github.com/sallyport-auth/sallyport/internal/account"
	"github.com/sallyport-auth/sallyport/internal/web/compat"
)

// AddFacadeForTest mounts one more facade, as the one that a word of the
// configuration switches on.
func (g *Gateway) AddFacadeForTest(word string, f func(compat.Rooms, compat.Common) compat.Facade) {
	g.facades = append(g.facades, f(g.compatRooms(), g.compatCommon(word)))
}

// CompatForTest are the facades' words with their defaults.
func CompatForTest(c Config) (compat.Config, error) {
	p, err := c.plan(shell{})
	if err != nil {
		return compat.Config{}, err
	}
	return p.compat, nil
}

// DirectoryForTest knows the realms as they hold.
func (g *Gateway) DirectoryForTest() *account.Directory { return g.accounts }
