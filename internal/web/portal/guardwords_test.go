package portal_test

import "github.com/sallyport-auth/sallyport/internal/guard"

type (
	guardRule     = guard.Rule
	guardDuration = guard.Duration
)
