// Command client is what a user writes around a client that a generator made
// from our description. It makes a user, reads, changes and deletes it, and
// reads refusals; the first thing that is not as described ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"example.com/client/sallyport"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Getenv("SALLYPORT_API"), os.Getenv("SALLYPORT_TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("made, read, changed and deleted")
}

func run(ctx context.Context, server, token string) error {
	bearer := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
	c, err := sallyport.NewClientWithResponses(server, sallyport.WithRequestEditorFn(bearer))
	if err != nil {
		return err
	}
	tag, err := create(ctx, c)
	if err != nil {
		return err
	}
	if err := change(ctx, c, tag); err != nil {
		return err
	}
	return remove(ctx, c)
}

// create makes a user twice with one key: there is one.
func create(ctx context.Context, c *sallyport.ClientWithResponses) (string, error) {
	key, email := "made by a generated client", "alice@example.com"
	params := &sallyport.PostUsersParams{IdempotencyKey: &key}
	body := sallyport.CreateUserInputBody{Realm: "users", Name: "alice", Email: &email}
	first, err := c.PostUsersWithResponse(ctx, params, body)
	if err != nil {
		return "", err
	}
	again, err := c.PostUsersWithResponse(ctx, params, body)
	if err != nil {
		return "", err
	}
	if first.JSON201 == nil || again.JSON201 == nil || first.JSON201.Id != again.JSON201.Id {
		return "", fmt.Errorf("create: %s, then %s", first.Status(), again.Status())
	}
	read, err := c.GetUsersRealmNameWithResponse(ctx, "users", "alice")
	if err != nil {
		return "", err
	}
	if read.JSON200 == nil || read.JSON200.Email != email {
		return "", fmt.Errorf("read: %s %s", read.Status(), read.Body)
	}
	return read.HTTPResponse.Header.Get("ETag"), nil
}

// change is refused with an old tag.
func change(ctx context.Context, c *sallyport.ClientWithResponses, tag string) error {
	name := "Alice Liddell"
	patch := func() (*sallyport.PatchUsersRealmNameResponse, error) {
		return c.PatchUsersRealmNameWithResponse(ctx, "users", "alice",
			&sallyport.PatchUsersRealmNameParams{IfMatch: &tag}, sallyport.ChangeUserInputBody{FullName: &name})
	}
	changed, err := patch()
	if err != nil {
		return err
	}
	if changed.JSON200 == nil || changed.JSON200.FullName != name {
		return fmt.Errorf("change: %s %s", changed.Status(), changed.Body)
	}
	stale, err := patch()
	if err != nil {
		return err
	}
	if p := stale.ApplicationproblemJSON412; p == nil || p.Code != "version" {
		return fmt.Errorf("change with an old tag: %s %s", stale.Status(), stale.Body)
	}
	return nil
}

func remove(ctx context.Context, c *sallyport.ClientWithResponses) error {
	gone, err := c.DeleteUsersRealmNameWithResponse(ctx, "users", "alice", nil)
	if err != nil {
		return err
	}
	if gone.StatusCode() != http.StatusNoContent {
		return fmt.Errorf("delete: %s %s", gone.Status(), gone.Body)
	}
	read, err := c.GetUsersRealmNameWithResponse(ctx, "users", "alice")
	if err != nil {
		return err
	}
	if p := read.ApplicationproblemJSON404; p == nil || p.Code != "unknown_user" {
		return errors.New("read after delete: " + read.Status())
	}
	return nil
}
