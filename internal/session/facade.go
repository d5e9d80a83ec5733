package session

import "context"

// FacadeSession finds the living session that a token of a facade names, and slides
// its idle limit. The facade has verified the token. A session of another door is
// none here. Errors: ErrNone; others: the store failed.
func (r *Registry) FacadeSession(ctx context.Context, id string, kind Kind) (Live, error) {
	n, ok := parseID(id)
	if !ok || !kind.Facade() {
		return Live{}, ErrNone
	}
	l, err := r.byID(ctx, n, r.instant(r.clock()), true)
	if err != nil {
		return Live{}, err
	}
	if l.Kind != kind {
		return Live{}, ErrNone
	}
	l.Portal = false // it opens neither account, admin nor API
	return l, nil
}
