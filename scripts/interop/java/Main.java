// What users of the RabbitMQ Java client do with a broker: Main [FEATURE]... See ../README.md.

import java.util.*;

final class Main {
  public static void main(String[] chosen) throws Exception {
    Map<String, Harness.Feature> features = new LinkedHashMap<>();
    features.put("handshake", Connections::handshake);
    features.put("topology", Routing::topology);
    features.put("topic_headers", Routing::topicAndHeaders);
    features.put("alternate_exchange", Routing::alternateExchange);
    features.put("confirms", Publishing::confirms);
    features.put("returns", Publishing::returns);
    features.put("get", Consuming::get);
    features.put("prefetch", Consuming::prefetch);
    features.put("requeue", Consuming::requeue);
    features.put("ttl", Queues::ttl);
    features.put("dead_letter", DeadLetters::deadLetter);
    features.put("max_length", Queues::maxLength);
    features.put("priority", Queues::priority);
    features.put("consumer_priority", Consuming::consumerPriority);
    features.put("single_active", Consuming::singleActive);
    features.put("exclusive", Consuming::exclusive);
    features.put("delivery_limit", DeadLetters::deliveryLimit);
    features.put("cancel_notify", Consuming::cancelNotify);
    features.put("errors", Errors::errors);
    features.put("tx", Publishing::transactions);
    features.put("direct_reply_to", Consuming::directReplyTo);
    features.put("cc_bcc", Publishing::ccAndBcc);
    features.put("user_id", Publishing::userId);
    features.put("properties", Publishing::properties);
    features.put("large", Publishing::large);
    features.put("channels_500", Connections::channels500);
    features.put("heartbeat", Connections::heartbeat);
    features.put("restart", Connections::restart);
    System.exit(Harness.run(features, List.of(chosen)));
  }
}
