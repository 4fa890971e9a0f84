import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Publish purchases: java -cp "KAFKA/libs/*" Publish.java [HOST:PORT] */
public class Publish {
    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", args.length > 0 ? args[0] : "localhost:9092");
        config.put("key.serializer", StringSerializer.class.getName());
        config.put("value.serializer", StringSerializer.class.getName());
        String[][] bought = {{"ann", "tea"}, {"ann", "milk"}, {"bob", "tea"}, {"bob", "milk"}, {"eve", "tea"}};
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            for (String[] one : bought) {
                String event = String.format(
                    "{\"customer_id\":\"%s\",\"item_id\":\"%s\",\"timestamp\":\"2026-01-31T12:00:00Z\"}", one[0], one[1]);
                producer.send(new ProducerRecord<>("purchases", one[0], event)).get();
            }
        }
    }
}
