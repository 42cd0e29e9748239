// What amqp091-go, the Go client, must be able to do with the broker. See ../../interop.sh.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const deadline = 30 * time.Second

var (
	address     = os.Getenv("AMQP_HOST") + ":" + os.Getenv("AMQP_PORT")
	messages, _ = strconv.Atoi(os.Getenv("INTEROP_MESSAGES"))
	idle, _     = strconv.Atoi(os.Getenv("INTEROP_IDLE_S"))
)

func ok(format string, args ...any) { fmt.Printf("  ok "+format+"\n", args...) }

func fail(format string, args ...any) {
	fmt.Printf("  FAILED "+format+"\n", args...)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		debug.PrintStack()
		fail("%v", err)
	}
}

func expect[T comparable](actual, expected T, what string) {
	if actual != expected {
		fail("%s: expected %v, got %v", what, expected, actual)
	}
}

func expectCode(err error, code int, what string) {
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != code {
		fail("%s: expected code %d, got %v", what, code, err)
	}
}

func dial(password string, heartbeat time.Duration, plain bool) (*amqp.Connection, error) {
	config := amqp.Config{Heartbeat: heartbeat, Vhost: "/"}
	if plain {
		config.SASL = []amqp.Authentication{&amqp.PlainAuth{Username: "guest", Password: password}}
	} else {
		config.SASL = []amqp.Authentication{&amqp.AMQPlainAuth{Username: "guest", Password: password}}
	}
	return amqp.DialConfig("amqp://"+address, config)
}

func publish(channel *amqp.Channel, exchange, key string, mandatory bool, message amqp.Publishing) *amqp.DeferredConfirmation {
	return must(channel.PublishWithDeferredConfirm(exchange, key, mandatory, false, message))
}

func confirmed(confirmation *amqp.DeferredConfirmation) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	expect(must(confirmation.WaitContext(ctx)), true, "confirmed")
}

func next[T any](from <-chan T, what string) T {
	select {
	case value, open := <-from:
		if !open {
			fail("%s: closed", what)
		}
		return value
	case <-time.After(deadline):
		fail("%s: nothing came", what)
		panic("unreachable")
	}
}

func publishAndConsume(channel *amqp.Channel, queue string) {
	var last []*amqp.DeferredConfirmation
	for number := range messages {
		last = append(last, publish(channel, "interop.go", fmt.Sprintf("stock.%d", number), false,
			amqp.Publishing{Body: []byte(strconv.Itoa(number))}))
	}
	for _, confirmation := range last {
		confirmed(confirmation)
	}
	ok("published %d with confirms", messages)
	check(channel.Qos(200, 0, false))
	deliveries := must(channel.Consume(queue, "taker", false, false, false, false, nil))
	for number := range messages {
		delivery := next(deliveries, "delivery")
		expect(string(delivery.Body), strconv.Itoa(number), "body in order")
		if number%100 == 99 || number == messages-1 {
			check(delivery.Ack(true))
		}
	}
	check(channel.Cancel("taker", false))
	expect(must(channel.QueueDeclarePassive(queue, false, false, true, false, nil)).Messages, 0, "messages left")
	ok("consumed and acknowledged %d", messages)
}

func mandatoryMessagesReturn(channel *amqp.Channel) {
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	confirmation := publish(channel, "interop.go", "unbound", true, amqp.Publishing{Body: []byte("back")})
	returned := next(returns, "return")
	expect(returned.ReplyCode, 312, "reply code")
	expect(string(returned.Body), "back", "returned body")
	confirmed(confirmation)
	ok("unroutable mandatory message returned with 312, then confirmed")
}

func prefetchAndRequeue(channel *amqp.Channel, queue string) {
	var last *amqp.DeferredConfirmation
	for number := range 20 {
		last = publish(channel, "", queue, false, amqp.Publishing{Body: []byte(strconv.Itoa(number))})
	}
	confirmed(last)
	check(channel.Qos(5, 0, false))
	deliveries := must(channel.Consume(queue, "holder", false, false, false, false, nil))
	var held amqp.Delivery
	for number := range 5 {
		held = next(deliveries, "delivery")
		expect(string(held.Body), strconv.Itoa(number), "body in order")
	}
	select {
	case <-deliveries:
		fail("a sixth message came in spite of the prefetch count")
	case <-time.After(500 * time.Millisecond):
	}
	expect(must(channel.QueueDeclarePassive(queue, false, false, true, false, nil)).Messages, 15, "messages still ready")
	ok("prefetch of 5 held back the other 15")
	check(channel.Cancel("holder", false))
	check(held.Nack(true, true))
	first, found, err := channel.Get(queue, false)
	check(err)
	expect(found && string(first.Body) == "0" && first.Redelivered, true, "first message after requeue")
	check(first.Reject(false))
	expect(must(channel.QueuePurge(queue, false)), 19, "messages purged")
	ok("nacked messages came back in order, marked redelivered; reject and purge removed them")
}

func largeMessage(channel *amqp.Channel, queue string) {
	body := make([]byte, 1<<20)
	must(rand.Read(body))
	sent := amqp.Publishing{
		Headers: amqp.Table{"text": "héllo", "number": int64(-1 << 40), "flag": true,
			"list": []any{int32(1), "two", amqp.Table{"three": 3.5}}, "none": nil},
		ContentType: "application/x-test", DeliveryMode: amqp.Persistent, Priority: 3, CorrelationId: "c-1",
		ReplyTo: "r", Expiration: "600000", MessageId: "m-1", Timestamp: time.Unix(1700000000, 0).UTC(), Type: "t",
		AppId: "interop", Body: body,
	}
	confirmed(publish(channel, "", queue, false, sent))
	got, found, err := channel.Get(queue, true)
	check(err)
	expect(found && bytes.Equal(got.Body, body), true, "1 MiB body identical")
	expect(fmt.Sprint(got.Headers), fmt.Sprint(sent.Headers), "headers")
	properties := fmt.Sprint(got.ContentType, got.DeliveryMode, got.Priority, got.CorrelationId, got.ReplyTo,
		got.Expiration, got.MessageId, got.Timestamp.UTC(), got.Type, got.AppId)
	expect(properties, fmt.Sprint(sent.ContentType, sent.DeliveryMode, sent.Priority, sent.CorrelationId, sent.ReplyTo,
		sent.Expiration, sent.MessageId, sent.Timestamp, sent.Type, sent.AppId), "properties")
	ok("1 MiB body and all properties came back identical")
}

func missingQueueClosesTheChannelOnly(connection *amqp.Connection) {
	channel := must(connection.Channel())
	_, err := channel.QueueDeclarePassive("interop.missing", false, false, false, false, nil)
	expectCode(err, 404, "missing queue")
	check(must(connection.Channel()).Close())
	ok("passive declare of a missing queue: 404, and the connection lives on")
}

func main() {
	_, err := dial("wrong", 20*time.Second, true)
	expectCode(err, 403, "wrong password")
	ok("wrong password refused with 403")
	connection := must(dial("guest", 20*time.Second, true))
	expect(connection.Config.Heartbeat, 20*time.Second, "negotiated heartbeat")
	ok("connected as guest, heartbeat 20 s")
	channel := must(connection.Channel())
	check(channel.ExchangeDeclare("interop.go", "topic", true, false, false, false, nil))
	queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
	check(channel.QueueBind(queue, "stock.*.#", "interop.go", false, nil))
	ok("declared a topic exchange and the queue %s, bound it", queue)
	check(channel.Confirm(false))
	publishAndConsume(channel, queue)
	mandatoryMessagesReturn(channel)
	prefetchAndRequeue(channel, queue)
	largeMessage(channel, queue)
	missingQueueClosesTheChannelOnly(connection)
	check(channel.ExchangeDelete("interop.go", false, false))
	check(connection.Close())
	connection = must(dial("guest", time.Second, false))
	time.Sleep(time.Duration(idle) * time.Second)
	check(must(connection.Channel()).Close())
	check(connection.Close())
	ok("AMQPLAIN login; heartbeat of 1 s kept the connection over %d idle seconds", idle)
	ok("closed cleanly")
}
